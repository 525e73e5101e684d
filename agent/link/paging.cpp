#include "link/paging.h"

namespace hvguard::link {

Result<> check_text(std::string_view field, std::string_view text) {
  if (text.size() > kMaxTextBytes) {
    return fail(
        Errc::kInvalid,
        fmt::format(
            "{} is {} bytes long: at most {} are allowed", field, text.size(), kMaxTextBytes));
  }
  return {};
}

Result<std::size_t> page_size(std::int32_t wanted) {
  if (wanted < 0) {
    return fail(
        Errc::kInvalid,
        fmt::format(
            "page_size is {}: it must not be negative; 0 means {}", wanted, kDefaultPageSize));
  }
  const std::int32_t size = wanted == 0 ? kDefaultPageSize : std::min(wanted, kMaxPageSize);
  return static_cast<std::size_t>(size);
}

}  // namespace hvguard::link
