// Log lines of hvguard-gateway (base/log_line.h). Any thread. RateLimit keeps what strangers can
// cause from filling the journal.
#pragma once

#include <cstdint>
#include <mutex>
#include <string_view>

#include "base/log_line.h"
#include "base/time.h"

namespace hvguard::gateway {

using Level = LogPriority;

inline void log_line(Level level, std::string_view text) {
  hvguard::log_line("hvguard-gateway", level, text);
}

// Token bucket; the caller brings the time, on the boot clock. Any thread.
class RateLimit {
 public:
  // `burst` at once, then one per `interval`.
  RateLimit(std::uint32_t burst, Nanoseconds interval) : burst_(burst), interval_(interval) {}

  // Whether one more is allowed now.
  bool allow(BootTime now);
  // How many were not allowed since this was last asked.
  std::uint64_t take_suppressed();

 private:
  const std::uint32_t burst_;
  const Nanoseconds interval_;
  std::mutex mutex_;
  BootTime full_time_;  // when the bucket is full again
  std::uint64_t suppressed_ = 0;
};

// Writes the line if the limit allows it, with the number left out before it.
void log_limited(RateLimit& limit, Level level, std::string_view text);

}  // namespace hvguard::gateway
