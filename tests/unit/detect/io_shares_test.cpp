#include "detect/io_shares.h"

#include <gtest/gtest.h>

#include "host/host.h"

namespace hvguard {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::Host;

const DeviceId kDisk{8, 0};
const DeviceId kOther{8, 16};

class Shares {
 public:
  Host host;
  IoSharesState state;
  std::uint32_t min_operations = 5;

  std::vector<DeviceUse> after(int seconds_later) {
    std::vector<DeviceUse> uses;
    for (int i = 0; i < seconds_later; ++i) {
      host.advance(seconds(1));
      uses = measure_io(state, *host.snapshot(), min_operations);
    }
    return uses;
  }
  void reads(const std::optional<VmId>& vm,
             double per_second,
             Nanoseconds time,
             DeviceId device = kDisk) {
    host.set_load(vm,
                  device,
                  IoOperation::kRead,
                  {.per_second = per_second, .queue_time = time * 2, .device_time = time});
  }
};

TEST(IoShares, AreOfDeviceTimeNotOfBytes) {
  Shares shares;
  const VmId slow = shares.host.add_vm("slow", 42);
  const VmId fast = shares.host.add_vm("fast", 43);
  shares.reads(slow, 10, milliseconds(40));  // a tenth of the bytes
  shares.reads(fast, 100, milliseconds(4));
  const auto uses = shares.after(10);
  ASSERT_EQ(uses.size(), 1U);
  EXPECT_EQ(uses[0].device, kDisk);
  ASSERT_EQ(uses[0].parties.size(), 2U);
  // 40 ms lies in [32.8, 65.5), 4 ms in [2.0, 4.1): their middles are 16 times each other.
  EXPECT_EQ(uses[0].parties[0].vm, slow);
  EXPECT_NEAR(uses[0].parties[0].share, 1.6 / 2.6, 0.001);
  EXPECT_EQ(uses[0].parties[1].vm, fast);
  EXPECT_NEAR(uses[0].parties[1].share, 1.0 / 2.6, 0.001);
}

TEST(IoShares, TellHowManyRequestsAreInTheDevice) {
  Shares shares;
  const VmId vm = shares.host.add_vm("web01", 42);
  shares.reads(vm, 100, milliseconds(48));  // close to the middle of its bucket
  const auto uses = shares.after(2);
  EXPECT_NEAR(uses.at(0).in_device, 4.8, 0.2);
  EXPECT_NEAR(shares.after(10).at(0).in_device, 4.8, 0.2);
}

TEST(IoShares, FollowAChangeWithinThreeSeconds) {
  Shares shares;
  const VmId old_one = shares.host.add_vm("old", 42);
  const VmId new_one = shares.host.add_vm("new", 43);
  shares.reads(old_one, 100, milliseconds(4));
  shares.reads(new_one, 0, milliseconds(4));
  EXPECT_EQ(shares.after(60).at(0).parties.at(1).share, 0);
  shares.reads(old_one, 0, milliseconds(4));
  shares.reads(new_one, 100, milliseconds(4));
  EXPECT_GT(shares.after(3).at(0).parties.at(1).share, 0.85);
}

TEST(IoShares, WhatBelongsToNoVmIsAPartyAndEachDeviceIsItsOwn) {
  Shares shares;
  const VmId vm = shares.host.add_vm("web01", 42);
  shares.reads(std::nullopt, 100, milliseconds(4));
  shares.reads(vm, 300, milliseconds(4));
  shares.reads(vm, 10, milliseconds(4), kOther);
  const auto uses = shares.after(3);
  ASSERT_EQ(uses.size(), 2U);
  EXPECT_FALSE(uses[0].parties.at(0).vm.has_value());
  EXPECT_NEAR(uses[0].parties.at(0).share, 0.25, 0.01);
  EXPECT_EQ(uses[1].device, kOther);
  EXPECT_EQ(uses[1].parties.at(0).share, 1);
}

TEST(IoShares, WhatWasBeforeTheFirstReadingIsNobodysNews) {
  Shares shares;
  const VmId vm = shares.host.add_vm("web01", 42);
  shares.reads(vm, 1000, milliseconds(4));
  EXPECT_TRUE(shares.after(1).empty());
}

TEST(IoShares, AnIdleDeviceHasNone) {
  Shares shares;
  const VmId vm = shares.host.add_vm("web01", 42);
  shares.reads(vm, 100, milliseconds(4));
  EXPECT_EQ(shares.after(2).size(), 1U);
  shares.reads(vm, 0, milliseconds(4));
  EXPECT_TRUE(shares.after(20).empty());
}

TEST(IoShares, AResetIsNoUse) {
  Shares shares;
  const VmId a = shares.host.add_vm("a", 42);
  const VmId b = shares.host.add_vm("b", 43);
  shares.reads(a, 100, milliseconds(4));
  shares.reads(b, 300, milliseconds(4));
  shares.after(10);
  shares.host.reset_counters();
  const auto uses = shares.after(1);
  EXPECT_NEAR(uses.at(0).parties.at(0).share, 0.25, 0.01);
  EXPECT_FALSE(shares.after(10).at(0).parties.at(0).write.has_value());
}

TEST(IoShares, AGoneVmIsForgotten) {
  Shares shares;
  const VmId vm = shares.host.add_vm("web01", 42);
  shares.reads(vm, 100, milliseconds(4));
  shares.after(2);
  shares.host.remove_vm("web01");
  EXPECT_TRUE(shares.after(1).empty());
  EXPECT_TRUE(shares.state.parties.empty());
}

TEST(IoShares, ReadingsThatOnlyCountAreLeftOut) {
  Shares shares;
  const VmId vm = shares.host.add_vm("web01", 42);
  shares.reads(vm, 100, milliseconds(4));
  shares.host.set_counts_only(true);
  EXPECT_TRUE(shares.after(5).empty());
  EXPECT_TRUE(shares.state.parties.empty());
}

// Of the only VM's reads.
std::optional<SlowRequests> latency(Shares& shares, int seconds_later) {
  return shares.after(seconds_later).at(0).parties.at(0).read;
}

TEST(Latency, IsOfEachTickWhereRequestsAreMany) {
  Shares shares;
  const VmId vm = shares.host.add_vm("web01", 42);
  shares.reads(vm, 100, milliseconds(20));  // 40 ms in the queue: [32.8, 65.5)
  EXPECT_FALSE(shares.after(1).size() == 1);
  const auto slow = latency(shares, 2);
  ASSERT_TRUE(slow.has_value());
  EXPECT_EQ(slow->p99_bucket, 15U);
  EXPECT_EQ(bucket_end(slow->p99_bucket), std::chrono::microseconds(65'536));
  EXPECT_EQ(slow->end, shares.host.now());
  EXPECT_EQ(slow->begin, shares.host.now() - seconds(1));
}

TEST(Latency, OfFewRequestsWaitsUntilTheyAreEnough) {
  Shares shares;
  const VmId vm = shares.host.add_vm("web01", 42);
  shares.reads(vm, 2, milliseconds(200));
  shares.after(1);
  EXPECT_FALSE(latency(shares, 2).has_value());  // 4 of 5
  const auto slow = latency(shares, 1);
  ASSERT_TRUE(slow.has_value());
  EXPECT_EQ(slow->end - slow->begin, seconds(3));
}

TEST(Latency, DoesNotDependOnHowShortTicksAre) {
  Shares shares;
  const VmId vm = shares.host.add_vm("web01", 42);
  shares.reads(vm, 100, milliseconds(20));
  shares.after(3);
  const auto before = latency(shares, 1);
  for (int i = 0; i < 4; ++i) {
    shares.host.advance(milliseconds(200));
    const auto uses = measure_io(shares.state, *shares.host.snapshot(), 5);
    EXPECT_EQ(uses.at(0).parties.at(0).read->end, before->end);
  }
  shares.host.advance(milliseconds(200));
  const auto uses = measure_io(shares.state, *shares.host.snapshot(), 5);
  EXPECT_EQ(uses.at(0).parties.at(0).read->begin, before->end);
  EXPECT_EQ(uses.at(0).parties.at(0).read->end, shares.host.now());
}

TEST(Latency, OfHardlyAnyRequestsIsNotKnown) {
  Shares shares;
  const VmId vm = shares.host.add_vm("web01", 42);
  shares.reads(vm, 0.5, milliseconds(500));  // never 5 in 5 s
  shares.after(2);
  for (int i = 0; i < 40; ++i) {
    EXPECT_FALSE(latency(shares, 1).has_value());
  }
}

// Of these requests, all within one second.
std::optional<SlowRequests> window(const LatencyHistogram& counts) {
  IoSharesState state;
  Snapshot snapshot;
  snapshot.boot_time = {seconds(100)};
  BlockIoReading& reading = snapshot.block_io.emplace_back();
  reading.device = kDisk;
  static_cast<void>(measure_io(state, snapshot, 5));
  snapshot.boot_time = {seconds(101)};
  for (const std::uint64_t count : counts) {
    reading.by_operation[0].operations.value += count;
  }
  reading.by_operation[0].queue_time = counts;
  reading.by_operation[0].device_time = counts;
  return measure_io(state, snapshot, 5).at(0).parties.at(0).read;
}

TEST(Latency, OneSlowRequestOfFewSaysNothing) {
  LatencyHistogram counts{};
  counts[10] = 50;
  counts[20] = 1;
  EXPECT_EQ(window(counts)->p99_bucket, 10U);
  counts[20] = 2;
  EXPECT_EQ(window(counts)->p99_bucket, 20U);
}

TEST(Latency, IsThatOfTheSlowestHundredth) {
  LatencyHistogram counts{};
  counts[10] = 989;
  counts[15] = 6;
  counts[20] = 5;
  EXPECT_EQ(window(counts)->p99_bucket, 15U);
  counts[10] = 400;
  EXPECT_EQ(window(counts)->p99_bucket, 20U);
}

TEST(Latency, BeginsWhereTheFirstRequestsDo) {
  Shares shares;
  const VmId vm = shares.host.add_vm("web01", 42);
  const VmId other = shares.host.add_vm("web02", 43);
  shares.reads(vm, 0, milliseconds(20));
  shares.reads(other, 100, milliseconds(20));
  shares.after(30);
  shares.reads(vm, 4, milliseconds(20));
  const auto slow = latency(shares, 2);
  ASSERT_TRUE(slow.has_value());
  EXPECT_EQ(slow->begin, shares.host.now() - seconds(2));
}

TEST(Latency, IsForgottenWhenNoneCompleteAnyMore) {
  Shares shares;
  const VmId vm = shares.host.add_vm("web01", 42);
  const VmId other = shares.host.add_vm("web02", 43);
  shares.reads(vm, 100, milliseconds(20));
  shares.reads(other, 100, milliseconds(20));
  shares.after(3);
  shares.reads(vm, 0, milliseconds(20));
  EXPECT_TRUE(latency(shares, 5).has_value());
  EXPECT_FALSE(latency(shares, 1).has_value());
}

TEST(Latency, AGapInTheReadingsStartsAnew) {
  Shares shares;
  const VmId vm = shares.host.add_vm("web01", 42);
  shares.reads(vm, 100, milliseconds(20));
  shares.after(3);
  shares.host.advance(seconds(60));
  EXPECT_TRUE(shares.after(1).empty());
  const auto slow = latency(shares, 1);
  EXPECT_EQ(slow->begin, shares.host.now() - seconds(1));
}

}  // namespace
}  // namespace hvguard
