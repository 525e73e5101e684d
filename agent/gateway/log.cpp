#include "gateway/log.h"

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "base/text.h"

namespace hvguard::gateway {
namespace {

constexpr std::size_t kMaxLineBytes = 1024;

}  // namespace

void log_line(Level level, std::string_view text) {
  const std::string line = fmt::format(
      "<{}>hvguard-gateway: {}\n", static_cast<int>(level), text.substr(0, kMaxLineBytes));
  // One write, so that lines of several threads do not mix. There is nobody to tell if it fails.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

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
