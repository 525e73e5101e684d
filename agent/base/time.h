// Two clocks as two types. BootTime (CLOCK_BOOTTIME) is subtracted and compared; WallTime
// (CLOCK_REALTIME) is only shown. The pure folders get both from the Snapshot and call neither.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>

namespace hvguard {

using Nanoseconds = std::chrono::nanoseconds;

// Time since boot, suspend included; the clock of task start times and of all arithmetic here.
struct BootTime {
  Nanoseconds since_boot{0};

  auto operator<=>(const BootTime&) const = default;
  friend constexpr Nanoseconds operator-(BootTime a, BootTime b) {
    return a.since_boot - b.since_boot;
  }
  friend constexpr BootTime operator+(BootTime t, Nanoseconds d) { return {t.since_boot + d}; }
  friend constexpr BootTime operator-(BootTime t, Nanoseconds d) { return {t.since_boot - d}; }
};

// Time since the Unix epoch; may jump.
struct WallTime {
  Nanoseconds since_epoch{0};

  auto operator<=>(const WallTime&) const = default;
};

// The only clock calls of the project; never from detect/, decide/ or model/ (tests/lint checks).
[[nodiscard]] BootTime boot_time_now();
[[nodiscard]] WallTime wall_time_now();

// A moment of the boot clock as wall time, given one moment known in both.
[[nodiscard]] constexpr WallTime to_wall(BootTime moment,
                                         BootTime known_boot,
                                         WallTime known_wall) {
  return {known_wall.since_epoch + (moment - known_boot)};
}

[[nodiscard]] constexpr double to_seconds(Nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

// "850 ms", "12.4 s", "3 min 20 s", "2 h 5 min", "4 d 3 h": for people. Negative gets a minus.
[[nodiscard]] std::string format_duration(Nanoseconds duration);

}  // namespace hvguard
