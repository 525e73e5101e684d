// Parser of what clients send on core.sock. Hostile input: bounded, no allocation worth a name, and
// every refusal says what was wrong. Pure; fuzzed by tests/fuzz/fuzz_core_request.cpp.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/result.h"

namespace hvguard::publish {

inline constexpr std::uint32_t kCoreProtocolVersion = 1;
// A valid request has under 10 bytes; the rest is room for later fields.
inline constexpr std::size_t kMaxRequestBytes = 512;

enum class CoreRequestKind { kGetFrame, kSubscribeFrames };

// `packet` is one whole packet.
[[nodiscard]] Result<CoreRequestKind> parse_core_request(std::string_view packet);

}  // namespace hvguard::publish
