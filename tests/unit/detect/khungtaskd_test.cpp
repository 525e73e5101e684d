#include "detect/khungtaskd.h"

#include <gtest/gtest.h>

namespace hvguard {
namespace {

double period_seconds(std::uint64_t timeout, std::uint64_t check_interval, std::uint32_t hz) {
  const auto rule = make_scan_rule(timeout, check_interval, hz);
  return static_cast<double>(scan_period(*rule)) / hz;
}

// Measured on real kernels (6.18 at HZ 250, 6.1 in a VM; "blocked for more than" series in logs).
TEST(Khungtaskd, PeriodsAreThoseThatWereMeasured) {
  EXPECT_DOUBLE_EQ(period_seconds(120, 0, 250), 120.832);
  EXPECT_DOUBLE_EQ(period_seconds(10, 0, 250), 10.24);
  EXPECT_DOUBLE_EQ(period_seconds(8, 0, 250), 8.192);
  EXPECT_DOUBLE_EQ(period_seconds(120, 0, 1000), 122.88);
  EXPECT_DOUBLE_EQ(period_seconds(120, 0, 100), 122.88);
}

TEST(Khungtaskd, TheCheckIntervalCountsUpToTheTimeout) {
  EXPECT_DOUBLE_EQ(period_seconds(120, 10, 250), 10.24);
  EXPECT_DOUBLE_EQ(period_seconds(10, 600, 250), 10.24);
  EXPECT_FALSE(make_scan_rule(0, 10, 250).has_value());
  EXPECT_FALSE(make_scan_rule(120, 0, 0).has_value());
}

// Recorded at jiffy 4295620096 and reported 2560 jiffies later: timeout 10 s, HZ 250.
TEST(Khungtaskd, TheRecordedScanIsFound) {
  const auto rule = make_scan_rule(10, 0, 250);
  const LastScan last{.scanned = 4295620096, .armed = 4295620096};
  EXPECT_EQ(next_scan(*rule, last), 4295620096U + 2560);
  EXPECT_EQ(firing_scan(*rule, last, 4295620096U), 4295620096U + 2560);
}

// 3132.6126 s, then nine periods to the millisecond.
TEST(Khungtaskd, NinePeriodsLaterItIsStillRight) {
  const auto rule = make_scan_rule(120, 0, 250);
  LastScan last{.scanned = 512 * 8'000'000ULL, .armed = 512 * 8'000'000ULL};
  const Jiffies start = last.scanned;
  for (int i = 0; i < 9; ++i) {
    last.scanned = next_scan(*rule, last);
    last.armed = last.scanned;
  }
  EXPECT_NEAR(static_cast<double>(last.scanned - start) / 250, 1087.4876, 0.001);
}

TEST(Khungtaskd, ATaskFiresBetweenOneAndTwoPeriodsAfterItBlocked) {
  const auto rule = make_scan_rule(120, 0, 250);
  const Jiffies scan = 512 * 8'000'000ULL;
  const LastScan last{.scanned = scan, .armed = scan};
  // Stamped by the last scan: the next one fires.
  EXPECT_EQ(firing_scan(*rule, last, scan), scan + 30208);
  // Not stamped yet: the next scan stamps, the one after it fires.
  EXPECT_EQ(firing_scan(*rule, last, std::nullopt), scan + 2 * 30208);
}

TEST(Khungtaskd, AShortCheckIntervalFiresSoonAfterTheTimeout) {
  const auto rule = make_scan_rule(120, 10, 250);
  const Jiffies scan = 64 * 80'000'000ULL;
  const LastScan last{.scanned = scan, .armed = scan};
  EXPECT_EQ(firing_scan(*rule, last, scan), scan + 12 * 2560);  // 122.88 s, not 120.832
}

TEST(Khungtaskd, AWriteToASysctlKeepsThePhaseButNotTheRounding) {
  const auto rule = make_scan_rule(120, 0, 250);
  const Jiffies scan = 512 * 8'000'000ULL;
  // Woken 118 s after the scan: 2 s are left, and their level is finer.
  const LastScan last{.scanned = scan, .armed = scan + 29'500};
  const Jiffies next = next_scan(*rule, last);
  EXPECT_GE(next, scan + 30'000);
  EXPECT_LE(next, scan + 30'000 + 8);
}

TEST(Khungtaskd, LevelsBeginWhereTimerCSaysSo) {
  EXPECT_EQ(wheel_granularity(62), 1U);
  EXPECT_EQ(wheel_granularity(63), 8U);
  EXPECT_EQ(wheel_granularity(503), 8U);
  EXPECT_EQ(wheel_granularity(504), 64U);
  EXPECT_EQ(wheel_granularity(4032), 512U);
  EXPECT_EQ(wheel_granularity(32256), 4096U);
}

TEST(Khungtaskd, FarDueTimesNeedNoLoop) {
  const auto rule = make_scan_rule(300'000'000, 1, 1000);
  ASSERT_TRUE(rule.has_value());
  const LastScan last{.scanned = 1000, .armed = 1000};
  EXPECT_GE(firing_scan(*rule, last, 1000), 1000 + rule->timeout);
}

}  // namespace
}  // namespace hvguard
