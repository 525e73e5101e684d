// Parser of what clients send on core.sock. Hostile input: bounded, no allocation worth a name, and
// every refusal says what was wrong. Pure; fuzzed by tests/fuzz/fuzz_core_request.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "model/boot_record.h"

namespace hvguard::publish {

inline constexpr std::uint32_t kCoreProtocolVersion = 1;
// A valid request has under 10 bytes; the rest is room for later fields.
inline constexpr std::size_t kMaxRequestBytes = 512;
// From a client that may attach as the spool.
inline constexpr std::size_t kMaxSpoolRequestBytes = std::size_t{32} * 1024;

enum class CoreRequestKind { kGetFrame, kSubscribeFrames, kAttachSpool };

struct CoreRequest {
  CoreRequestKind kind = CoreRequestKind::kGetFrame;
  std::optional<SpoolReport> report;  // of kAttachSpool
};

// `packet` is one whole packet; `from_spool`: its sender may attach as the spool.
[[nodiscard]] Result<CoreRequest> parse_core_request(std::string_view packet, bool from_spool);

}  // namespace hvguard::publish
