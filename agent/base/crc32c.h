// CRC32C (Castagnoli; RFC 3720, appendix B.4), for records on disk: finds torn and rotten ones, not
// forged ones. Pure, any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace hvguard {

[[nodiscard]] std::uint32_t crc32c(std::string_view bytes);

}  // namespace hvguard
