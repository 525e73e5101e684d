// TickSchedule: when the sampler reads. Pure; times come in. Regular ticks keep their distance from
// the expiry before, so that they do not drift; ticks that were missed are skipped and counted.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"

namespace hvguard::observe {

// Two Snapshots are at least this far apart when the later one is an early one.
inline constexpr Nanoseconds kMinimumTickDistance = std::chrono::milliseconds(100);

class TickSchedule {
 public:
  TickSchedule(BootTime now, Nanoseconds interval) : next_(now), interval_(interval) {}

  // The next regular tick comes one new interval from now at the latest.
  void set_interval(Nanoseconds interval, BootTime now);
  [[nodiscard]] Nanoseconds interval() const { return interval_; }

  // When to wake: the next regular expiry, or the earliest moment of an early tick if one is
  // wanted.
  [[nodiscard]] BootTime next_wake(bool early_wanted) const;

  // The number of the tick to take now; none if it is not time yet. Skipped regular ticks leave
  // holes in the numbers.
  [[nodiscard]] std::optional<std::uint64_t> take(BootTime now, bool early_wanted);
  [[nodiscard]] std::uint64_t skipped_count() const { return skipped_; }

 private:
  BootTime next_;
  std::optional<BootTime> last_;
  Nanoseconds interval_;
  std::uint64_t tick_ = 0;
  std::uint64_t skipped_ = 0;
};

}  // namespace hvguard::observe
