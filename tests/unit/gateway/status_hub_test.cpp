#include "gateway/status_hub.h"

#include <gtest/gtest.h>

#include "sample_frame.h"

namespace hvguard::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class StatusHubTest : public ::testing::Test {
 protected:
  void publish() {
    ++tick;
    hub.publish(link::build_mirror(test::sample_frame(tick, test::kSampleTime), nullptr), now);
  }
  std::shared_ptr<StatusHub::Watch> watch(Nanoseconds interval) {
    return *hub.watch(interval, [this] { ++wakes; });
  }

  WatcherSlots slots{2};
  StatusHub hub{slots};
  BootTime now{seconds(100)};
  std::uint64_t tick = 0;
  int wakes = 0;
};

TEST_F(StatusHubTest, GivesTheStatusNowAndThenAtMostOnePerInterval) {
  publish();
  const auto watcher = watch(milliseconds(2500));
  EXPECT_EQ(watcher->pull(now)->mirror->tick, 1U);
  EXPECT_FALSE(watcher->pull(now));
  for (int i = 0; i < 2; ++i) {
    now = now + seconds(1);
    publish();
    EXPECT_EQ(wakes, 0);
    EXPECT_FALSE(watcher->pull(now));
  }
  EXPECT_EQ(hub.next_due(), BootTime{milliseconds(102'500)});
  now = now + milliseconds(500);
  hub.on_time(now);
  EXPECT_EQ(wakes, 1);
  const auto event = watcher->pull(now);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->mirror->tick, 3U);  // the newest
  EXPECT_EQ(event->sequence, 2U);
  EXPECT_EQ(event->dropped_count, 0U);  // left out by interval, not lost
}

TEST_F(StatusHubTest, CountsWhatASlowWatcherMissed) {
  publish();
  const auto watcher = watch(milliseconds(200));
  ASSERT_TRUE(watcher->pull(now));
  for (int i = 0; i < 5; ++i) {
    now = now + seconds(1);
    publish();
  }
  EXPECT_EQ(wakes, 1);  // one call is enough until it comes
  const auto event = watcher->pull(now);
  EXPECT_EQ(event->mirror->tick, 6U);
  EXPECT_EQ(event->dropped_count, 4U);
}

TEST_F(StatusHubTest, RepeatsTheLastStatusWhenTheGuardIsSilent) {
  publish();
  const auto watcher = watch(seconds(1));
  ASSERT_TRUE(watcher->pull(now));
  EXPECT_EQ(hub.next_due(), now + StatusHub::kRepeatAfter);
  now = now + milliseconds(2999);
  hub.on_time(now);
  EXPECT_EQ(wakes, 0);
  now = now + milliseconds(1);
  hub.on_time(now);
  EXPECT_EQ(wakes, 1);
  EXPECT_EQ(watcher->pull(now)->mirror->tick, 1U);
}

TEST_F(StatusHubTest, RefusesBeforeDataAndBeyondTheLimit) {
  EXPECT_EQ(hub.watch(seconds(1), [] {}).error().code, Errc::kUnavailable);
  publish();
  const auto a = watch(seconds(1));
  auto b = watch(seconds(1));
  EXPECT_EQ(hub.watch(seconds(1), [] {}).error().code, Errc::kExhausted);
  b.reset();
  EXPECT_TRUE(hub.watch(seconds(1), [] {}));
  hub.close();
  EXPECT_TRUE(a->closed());
  EXPECT_FALSE(a->pull(now));
}

}  // namespace
}  // namespace hvguard::gateway
