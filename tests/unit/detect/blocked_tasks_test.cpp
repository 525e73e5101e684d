#include "detect/blocked_tasks.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace hvguard {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr BootTime kStart{seconds(1000)};

// One task, told second by second.
class OneTask {
 public:
  OneTask() {
    task_.id = {.tid = 7, .start = BootTime{seconds(10)}};
    task_.tgid = 7;
    task_.blocked_class = BlockedClass::kHard;
    task_.switch_count = 100;
    task_.off_cpu_since = kStart;
    task_.stack = {"submit_bio_wait", "blkdev_direct_IO"};
  }

  BlockedTask& task() { return task_; }

  TrackedTask see(double at, std::uint64_t timeout = 120) {
    snapshot_.boot_time = kStart + milliseconds(static_cast<std::int64_t>(at * 1000));
    snapshot_.host.hung_task = HungTaskSysctls{};
    snapshot_.host.hung_task->timeout_seconds = timeout;
    snapshot_.tasks = TaskPass{};
    snapshot_.tasks->pass_time = snapshot_.boot_time;
    snapshot_.tasks->blocked = {task_};
    return track_blocked_tasks(state_, snapshot_, Facts()).at(0);
  }
  void wake(double at, std::uint64_t switches = 1) {
    task_.switch_count += switches;
    task_.off_cpu_since = kStart + milliseconds(static_cast<std::int64_t>(at * 1000));
  }
  void miss() {
    snapshot_.tasks.reset();
    EXPECT_TRUE(track_blocked_tasks(state_, snapshot_, Facts()).empty());
  }
  void run() {
    snapshot_.tasks = TaskPass{};
    EXPECT_TRUE(track_blocked_tasks(state_, snapshot_, Facts()).empty());
  }

 private:
  BlockedTask task_;
  Snapshot snapshot_;
  BlockedTasksState state_;
};

TEST(BlockedTasks, TheClockStartsWhenTheTaskLeftTheCpu) {
  OneTask one;
  one.task().off_cpu_since = kStart - seconds(3);
  EXPECT_EQ(one.see(0).since, kStart - seconds(3));
  OneTask unknown;
  unknown.task().off_cpu_since.reset();
  EXPECT_EQ(unknown.see(0).since, kStart);
  EXPECT_EQ(unknown.see(5).since, kStart);
}

TEST(BlockedTasks, ASelfWakingWaitGoesOn) {
  OneTask one;
  const auto wait = one.see(0).wait_number;
  for (int i = 1; i <= 5; ++i) {
    one.wake(60.2 * i);
    EXPECT_EQ(one.see(60.2 * i + 0.5).since, kStart) << i;
  }
  EXPECT_EQ(one.see(302).wait_number, wait);
}

TEST(BlockedTasks, RealIoInTheSameFunctionIsNotOneWait) {
  OneTask one;
  EXPECT_EQ(one.see(0).since, kStart);
  one.wake(30);  // half of what a self-waking wait takes
  EXPECT_EQ(one.see(31).since, kStart + seconds(30));
  one.wake(91, 5);  // one round, but five switches
  EXPECT_EQ(one.see(92).since, kStart + seconds(91));
}

TEST(BlockedTasks, AnotherStackIsAnotherWait) {
  OneTask one;
  EXPECT_EQ(one.see(0).since, kStart);
  one.wake(60.1);
  one.task().stack[1] = "blkdev_issue_flush";
  EXPECT_EQ(one.see(61).since, kStart + milliseconds(60'100));
}

TEST(BlockedTasks, OtherWaitsEndWithAnySwitch) {
  OneTask one;
  one.task().stack = {"folio_wait_bit_common"};
  EXPECT_EQ(one.see(0).since, kStart);
  one.wake(60.1);
  EXPECT_EQ(one.see(61).since, kStart + milliseconds(60'100));
}

TEST(BlockedTasks, WithoutATimeoutNothingWakesItself) {
  OneTask one;
  EXPECT_EQ(one.see(0, 0).since, kStart);
  one.wake(60.1);
  EXPECT_EQ(one.see(61, 0).since, kStart + milliseconds(60'100));
}

TEST(BlockedTasks, SeveralWakesInAGapAreCountedTogether) {
  OneTask one;
  EXPECT_EQ(one.see(0).since, kStart);
  one.miss();
  one.wake(180.5, 3);
  EXPECT_EQ(one.see(181).since, kStart);
}

TEST(BlockedTasks, AReusedTidIsAnotherTask) {
  OneTask one;
  EXPECT_EQ(one.see(0).since, kStart);
  one.task().id.start = BootTime{seconds(900)};
  one.task().off_cpu_since = kStart + seconds(8);
  EXPECT_EQ(one.see(9).since, kStart + seconds(8));
}

TEST(BlockedTasks, OneThatRanInBetweenBeginsAgain) {
  OneTask one;
  one.task().off_cpu_since.reset();
  EXPECT_EQ(one.see(0).since, kStart);
  one.run();
  EXPECT_EQ(one.see(5).since, kStart + seconds(5));
}

TEST(BlockedTasks, AFallbackKeepsClassClockAndCauseOfTheSameWait) {
  OneTask one;
  EXPECT_EQ(one.see(0).blocked_class, BlockedClass::kHard);
  one.task().blocked_class = BlockedClass::kUnknown;
  one.task().off_cpu_since.reset();
  one.task().stack.clear();
  one.task().id.start = BootTime{seconds(10) + milliseconds(9)};  // ticks of 10 ms
  const TrackedTask seen = one.see(10);
  EXPECT_EQ(seen.blocked_class, BlockedClass::kHard);
  EXPECT_EQ(seen.since, kStart);
  EXPECT_EQ(seen.cause.cause, HungTaskCause::kBlockIo);
}

}  // namespace
}  // namespace hvguard
