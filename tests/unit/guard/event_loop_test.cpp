#include "guard/event_loop.h"

#include <csignal>

#include <gtest/gtest.h>
#include <unistd.h>

#include "publish/event_source.h"

namespace hvguard::guard {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(HandlerTimes, BucketsArePowersOfTwoMicroseconds) {
  HandlerTimes times;
  times.add(Nanoseconds(0));
  times.add(Nanoseconds(1999));
  times.add(microseconds(2));
  times.add(microseconds(3));
  times.add(microseconds(4));
  times.add(std::chrono::hours(1));
  EXPECT_EQ(times.buckets[0], 2U);
  EXPECT_EQ(times.buckets[1], 2U);
  EXPECT_EQ(times.buckets[2], 1U);
  EXPECT_EQ(times.buckets.back(), 1U);
  EXPECT_EQ(times.longest, std::chrono::hours(1));
}

TEST(EventLoop, TimesEveryHandlerAndEndsWithTheCode) {
  auto loop = EventLoop::create().value();
  const auto slow = publish::EventSource::timer(loop.get(), Nanoseconds(0), [] {
    const BootTime start = boot_time_now();
    while (boot_time_now() - start < milliseconds(30)) {
    }
  });
  const auto last =
      publish::EventSource::timer(loop.get(), milliseconds(1), [&loop] { loop.exit(7); });
  EXPECT_EQ(loop.run().value(), 7);
  EXPECT_GE(loop.handler_times().longest, milliseconds(30));
  std::uint64_t count = 0;
  for (const std::uint64_t bucket : loop.handler_times().buckets) {
    count += bucket;
  }
  EXPECT_EQ(count, 2U);
}

TEST(EventLoop, SignalsComeAsEvents) {
  ASSERT_TRUE(block_loop_signals());
  auto loop = EventLoop::create().value();
  int seen = 0;
  const auto watch = SignalWatch::watch(loop.get(), [&](int signal) {
    seen = signal;
    loop.exit(0);
  });
  ::kill(::getpid(), SIGHUP);
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(seen, SIGHUP);
}

}  // namespace
}  // namespace hvguard::guard
