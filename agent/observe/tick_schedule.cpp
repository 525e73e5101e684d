#include "observe/tick_schedule.h"

#include <algorithm>

namespace hvguard::observe {

void TickSchedule::set_interval(Nanoseconds interval, BootTime now) {
  interval_ = interval;
  next_ = std::min(next_, now + interval);
}

BootTime TickSchedule::next_wake(bool early_wanted) const {
  if (!early_wanted || !last_) {
    return next_;
  }
  return std::min(next_, *last_ + kMinimumTickDistance);
}

std::optional<std::uint64_t> TickSchedule::take(BootTime now, bool early_wanted) {
  if (now < next_wake(early_wanted)) {
    return std::nullopt;
  }
  if (now >= next_) {
    const auto missed = static_cast<std::uint64_t>((now - next_) / interval_);
    skipped_ += missed;
    tick_ += missed;
    next_ = next_ + interval_ * static_cast<std::int64_t>(missed + 1);
  }
  last_ = now;
  return ++tick_;
}

}  // namespace hvguard::observe
