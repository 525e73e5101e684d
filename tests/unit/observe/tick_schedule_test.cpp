#include "observe/tick_schedule.h"

#include <gtest/gtest.h>

namespace hvguard::observe {
namespace {

using namespace std::chrono_literals;

constexpr BootTime at(Nanoseconds time) {
  return {time};
}

TEST(TickSchedule, KeepsItsDistanceFromTheExpiryBefore) {
  TickSchedule schedule(at(100s), 1s);
  EXPECT_EQ(schedule.take(at(100s), false), 1U);
  EXPECT_FALSE(schedule.take(at(100900ms), false));
  EXPECT_EQ(schedule.take(at(101300ms), false), 2U);  // late
  EXPECT_EQ(schedule.next_wake(false), at(102s));     // the next is not
}

TEST(TickSchedule, WhatWasMissedIsSkippedAndLeavesAHole) {
  TickSchedule schedule(at(100s), 1s);
  EXPECT_EQ(schedule.take(at(100s), false), 1U);
  EXPECT_EQ(schedule.take(at(104500ms), false), 5U);  // 101, 102, 103 missed; this is that of 104
  EXPECT_EQ(schedule.skipped_count(), 3U);
  EXPECT_FALSE(schedule.take(at(104501ms), false)) << "no burst";
  EXPECT_EQ(schedule.next_wake(false), at(105s));
}

TEST(TickSchedule, EarlyTicksKeepAwayFromTheLastAndMoveNothing) {
  TickSchedule schedule(at(100s), 1s);
  EXPECT_EQ(schedule.take(at(100s), true), 1U);
  EXPECT_EQ(schedule.next_wake(true), at(100100ms));
  EXPECT_FALSE(schedule.take(at(100050ms), true));
  EXPECT_EQ(schedule.take(at(100120ms), true), 2U);
  EXPECT_EQ(schedule.next_wake(false), at(101s));
  EXPECT_EQ(schedule.take(at(101s), false), 3U);
  EXPECT_EQ(schedule.skipped_count(), 0U);
}

TEST(TickSchedule, AShorterIntervalCountsAtOnce) {
  TickSchedule schedule(at(100s), 10s);
  EXPECT_EQ(schedule.take(at(100s), false), 1U);
  schedule.set_interval(1s, at(102s));
  EXPECT_EQ(schedule.next_wake(false), at(103s));
}

}  // namespace
}  // namespace hvguard::observe
