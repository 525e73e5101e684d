// Parser of what clients send on core.sock. Hostile input: bounded, no allocation worth a name, and
// every refusal says what was wrong. Pure; fuzzed by tests/fuzz/fuzz_core_request.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/admin_request.h"
#include "model/boot_record.h"

namespace hvguard::publish {

inline constexpr std::uint32_t kCoreProtocolVersion = 1;
// A valid request without content has under 10 bytes; the rest is room for later fields.
inline constexpr std::size_t kMaxRequestBytes = 512;
// From a client that may change something.
inline constexpr std::size_t kMaxAdminRequestBytes = std::size_t{4} * 1024;
// From a client that may attach as the spool.
inline constexpr std::size_t kMaxSpoolRequestBytes = std::size_t{32} * 1024;

enum class CoreRequestKind { kGetFrame, kSubscribeFrames, kAttachSpool, kAdmin };

struct CoreRequest {
  CoreRequestKind kind = CoreRequestKind::kGetFrame;
  std::optional<SpoolReport> report = std::nullopt;          // of kAttachSpool
  std::optional<Result<AdminRequest>> admin = std::nullopt;  // of kAdmin; else why it is refused
};

// Who sent a packet, and what the sender may do besides reading.
struct CoreSender {
  bool may_attach = false;  // as the spool
  bool may_change = false;  // ask for what AdminService does
  std::string name = {};    // "uid 0, pid 4711"
};

// `packet` is one whole packet.
[[nodiscard]] Result<CoreRequest> parse_core_request(std::string_view packet,
                                                     const CoreSender& sender);

}  // namespace hvguard::publish
