#include "base/time.h"

#include <gtest/gtest.h>

namespace hvguard {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(FormatDuration, ReadsWell) {
  EXPECT_EQ(format_duration(Nanoseconds(0)), "0 ms");
  EXPECT_EQ(format_duration(Nanoseconds(999'999)), "0 ms");
  EXPECT_EQ(format_duration(milliseconds(850)), "850 ms");
  EXPECT_EQ(format_duration(milliseconds(12'430)), "12.4 s");
  EXPECT_EQ(format_duration(milliseconds(59'999)), "59.9 s");
  EXPECT_EQ(format_duration(seconds(200)), "3 min 20 s");
  EXPECT_EQ(format_duration(minutes(125)), "2 h 5 min");
  EXPECT_EQ(format_duration(hours(99)), "4 d 3 h");
  EXPECT_EQ(format_duration(-seconds(5)), "-5.0 s");
}

TEST(Clocks, BootMomentsTurnIntoWallTime) {
  const BootTime boot{seconds(100)};
  const WallTime wall{seconds(1'700'000'000)};
  EXPECT_EQ(to_wall(boot - seconds(40), boot, wall).since_epoch, seconds(1'699'999'960));
  EXPECT_EQ(to_wall(boot + seconds(1), boot, wall).since_epoch, seconds(1'700'000'001));
}

TEST(Clocks, BootTimeMovesForward) {
  const BootTime first = boot_time_now();
  const BootTime second = boot_time_now();
  EXPECT_GT(first.since_boot.count(), 0);
  EXPECT_GE(second, first);
}

}  // namespace
}  // namespace hvguard
