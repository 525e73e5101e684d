#include "guard/inbox.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <poll.h>

namespace hvguard::guard {
namespace {

bool readable(const Inbox& inbox) {
  pollfd fd{inbox.fd(), POLLIN, 0};
  return ::poll(&fd, 1, 0) == 1;
}

TEST(Inbox, RunsInOrderAndIsReadableOnlyWhileSomethingWaits) {
  const auto inbox = Inbox::create().value();
  EXPECT_FALSE(readable(*inbox));
  std::vector<int> ran;
  inbox->post([&] { ran.push_back(1); });
  inbox->post([&] { ran.push_back(2); });
  EXPECT_TRUE(readable(*inbox));
  inbox->drain();
  EXPECT_EQ(ran, (std::vector{1, 2}));
  EXPECT_FALSE(readable(*inbox));
}

TEST(Inbox, WhatIsPostedWhileDrainingWaitsForTheNextTurn) {
  const auto inbox = Inbox::create().value();
  int ran = 0;
  inbox->post([&] { inbox->post([&] { ++ran; }); });
  inbox->drain();
  EXPECT_EQ(ran, 0);
  EXPECT_TRUE(readable(*inbox));
  inbox->drain();
  EXPECT_EQ(ran, 1);
}

TEST(Inbox, IsBoundedAndCountsWhatItDrops) {
  const auto inbox = Inbox::create().value();
  for (std::size_t i = 0; i < Inbox::kMaxItems; ++i) {
    EXPECT_TRUE(inbox->post([] {}));
  }
  EXPECT_FALSE(inbox->post([] {}));
  EXPECT_EQ(inbox->dropped_count(), 1U);
  inbox->drain();
  EXPECT_TRUE(inbox->post([] {}));
}

// For TSan: several threads post while the loop drains; nothing is lost but what is counted.
TEST(Inbox, TakesFromSeveralThreads) {
  const auto inbox = Inbox::create().value();
  constexpr int kThreads = 4;
  constexpr int kPosts = 2000;
  int ran = 0;
  std::atomic<int> running{kThreads};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int post = 0; post < kPosts; ++post) {
        inbox->post([&] { ++ran; });
      }
      --running;
    });
  }
  while (running > 0) {
    inbox->drain();
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  inbox->drain();
  EXPECT_EQ(static_cast<std::uint64_t>(ran) + inbox->dropped_count(),
            static_cast<std::uint64_t>(kThreads * kPosts));
}

}  // namespace
}  // namespace hvguard::guard
