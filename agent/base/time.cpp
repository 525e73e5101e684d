#include "base/time.h"

#include <ctime>

#include <fmt/format.h>

namespace hvguard {
namespace {

Nanoseconds read_clock(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return std::chrono::seconds(now.tv_sec) + Nanoseconds(now.tv_nsec);
}

}  // namespace

BootTime boot_time_now() {
  return {read_clock(CLOCK_BOOTTIME)};
}

WallTime wall_time_now() {
  return {read_clock(CLOCK_REALTIME)};
}

std::string format_duration(Nanoseconds duration) {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  using std::chrono::seconds;
  if (duration < Nanoseconds(0)) {
    return "-" + format_duration(-duration);
  }
  const auto whole_ms = duration_cast<milliseconds>(duration).count();
  if (whole_ms < 1000) {
    return fmt::format("{} ms", whole_ms);
  }
  if (whole_ms < 60'000) {
    return fmt::format("{}.{} s", whole_ms / 1000, whole_ms % 1000 / 100);
  }
  const auto whole_s = duration_cast<seconds>(duration).count();
  if (whole_s < 3600) {
    return fmt::format("{} min {} s", whole_s / 60, whole_s % 60);
  }
  if (whole_s < 86'400) {
    return fmt::format("{} h {} min", whole_s / 3600, whole_s % 3600 / 60);
  }
  return fmt::format("{} d {} h", whole_s / 86'400, whole_s % 86'400 / 3600);
}

}  // namespace hvguard
