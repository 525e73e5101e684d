#include "gateway/log.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace hvguard::gateway {
bool RateLimit::allow(BootTime now) {
  const std::lock_guard lock(mutex_);
  const BootTime start = std::max(full_time_, now);
  if (start - now > interval_ * (burst_ - 1)) {
    ++suppressed_;
    return false;
  }
  full_time_ = start + interval_;
  return true;
}

std::uint64_t RateLimit::take_suppressed() {
  const std::lock_guard lock(mutex_);
  return std::exchange(suppressed_, 0);
}

void log_limited(RateLimit& limit, Level level, std::string_view text) {
  if (!limit.allow(boot_time_now())) {
    return;
  }
  const std::uint64_t suppressed = limit.take_suppressed();
  if (suppressed == 0) {
    log_line(level, text);
  } else {
    log_line(level, fmt::format("{} ({} more like it left out before)", text, suppressed));
  }
}

}  // namespace hvguard::gateway
