// Shares and contention over readings that jump as they like: resets, readings that come and go,
// counts that no disk has.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>
// rapidcheck's gtest.h needs gtest's before it.
#include <rapidcheck/gtest.h>

#include "detect/contention_sides.h"
#include "detect/io_contention.h"
#include "detect/io_shares.h"

namespace hvguard::test {
namespace {

std::uint64_t grown(std::uint64_t value) {
  switch (*rc::gen::weightedElement<int>({{1, 0}, {1, 1}, {6, 2}})) {
    case 0:
      return *rc::gen::arbitrary<std::uint64_t>();
    case 1:
      return 0;
    default:
      return value + *rc::gen::inRange<std::uint64_t>(0, 1000);
  }
}

std::optional<VmId> party_number(int number) {
  return number == 0 ? std::nullopt
                     : std::optional(VmId{.tgid = number, .start = {}, .cgroup = {}});
}

// Lives of a few parties on two devices, each reading present or not.
class World {
 public:
  Snapshot next() {
    Snapshot snapshot;
    now_ = now_ + std::chrono::milliseconds(*rc::gen::inRange<std::int64_t>(-200, 7000));
    snapshot.boot_time = now_;
    snapshot.interval = std::chrono::seconds(1);
    for (BlockIoReading& reading : readings_) {
      for (IoOperationReading& operation : reading.by_operation) {
        const auto bucket = *rc::gen::inRange<std::size_t>(0, kLatencyBuckets);
        operation.operations.value = grown(operation.operations.value);
        operation.queue_time.at(bucket) = grown(operation.queue_time.at(bucket));
        operation.device_time.at(bucket) = grown(operation.device_time.at(bucket));
      }
      if (*rc::gen::weightedElement<bool>({{5, true}, {1, false}})) {
        snapshot.block_io.push_back(reading);
      }
    }
    return snapshot;
  }

 private:
  static std::vector<BlockIoReading> arbitrary_readings() {
    std::vector<BlockIoReading> readings;
    const int parties = *rc::gen::inRange(1, 6);
    for (std::uint32_t device = 0; device < 2; ++device) {
      for (int i = 0; i < parties; ++i) {
        BlockIoReading& reading = readings.emplace_back();
        reading.vm = party_number(i);
        reading.device = {8, device};
      }
    }
    return readings;
  }

  BootTime now_{std::chrono::seconds(1000)};
  std::vector<BlockIoReading> readings_ = arbitrary_readings();
};

RC_GTEST_PROP(IoShares, AddUpToOneAtMostAndAreNumbers, ()) {
  World world;
  IoSharesState state;
  for (int tick = 0; tick < 20; ++tick) {
    const Snapshot snapshot = world.next();
    for (const DeviceUse& use : measure_io(state, snapshot, 5)) {
      double sum = 0;
      for (const IoParty& party : use.parties) {
        RC_ASSERT(party.share >= 0);
        RC_ASSERT(party.share <= 1);
        sum += party.share;
        for (const auto& slow : {party.read, party.write}) {
          RC_ASSERT((!slow || slow->p99_bucket < kLatencyBuckets));
          RC_ASSERT((!slow || slow->begin < slow->end));
          RC_ASSERT((!slow || snapshot.boot_time - slow->end <= kLongestWindow));
        }
      }
      RC_ASSERT(std::abs(sum - 1) < 1e-9);
      RC_ASSERT(std::isfinite(use.in_device));
      RC_ASSERT(use.in_device > 0);
    }
    RC_ASSERT(state.parties.size() <= snapshot.block_io.size());
  }
}

bool same(const Finding& a, const Finding& b) {
  return a.subject == b.subject && a.event_time == b.event_time && a.summary == b.summary &&
         a.evidence == b.evidence;
}

RC_GTEST_PROP(IoContention, DoesNotDependOnTheOrderOfReadings, ()) {
  World world;
  IoContentionConfig config;
  config.open_after = std::chrono::seconds(1);
  config.min_operations = 2;
  config.latency_bound = std::chrono::milliseconds(1);
  IoContentionState first;
  IoContentionState second;
  for (int tick = 0; tick < 20; ++tick) {
    Snapshot snapshot = world.next();
    const auto a = detect_io_contention(config, first, snapshot, {});
    std::reverse(snapshot.block_io.begin(), snapshot.block_io.end());
    const auto middle =
        snapshot.block_io.begin() + static_cast<std::ptrdiff_t>(snapshot.block_io.size() / 2);
    std::rotate(snapshot.block_io.begin(), middle, snapshot.block_io.end());
    const auto b = detect_io_contention(config, second, snapshot, {});
    RC_ASSERT((a && b && a->size() == b->size()));
    RC_ASSERT(std::equal(a->begin(), a->end(), b->begin(), same));
  }
}

RC_GTEST_PROP(IoContention, AccusesAndPitiesWithinReason, ()) {
  DeviceUse use;
  const int parties = *rc::gen::inRange(0, 60);
  double left = 1;
  for (int i = 0; i < parties; ++i) {
    IoParty& party = use.parties.emplace_back();
    party.vm = party_number(i);
    party.share = left * (*rc::gen::inRange(0, 100) / 100.0);
    left -= party.share;
    if (*rc::gen::arbitrary<bool>()) {
      party.read = SlowRequests{
          .p99_bucket = *rc::gen::inRange<std::size_t>(0, kLatencyBuckets), .begin = {}, .end = {}};
    }
  }
  constexpr std::size_t kBound = 14;
  const auto sides = find_sides(use, kBound);
  if (!sides) {
    return;
  }
  RC_ASSERT(sides->party_count >= 2U);
  RC_ASSERT(!sides->victims.empty());
  RC_ASSERT(sides->culprits.size() <= 20U);  // a twentieth each
  RC_ASSERT(sides->victims.size() + sides->culprits.size() <= use.parties.size());
  for (const IoParty* const victim : sides->victims) {
    RC_ASSERT((slowest_bucket(*victim) >= std::optional(kBound)));
    RC_ASSERT(std::count(sides->culprits.begin(), sides->culprits.end(), victim) == 0);
  }
  for (const IoParty* const culprit : sides->culprits) {
    RC_ASSERT(culprit->share > sides->fair_share);
  }
}

RC_GTEST_PROP(IoContention, ListsAndMemoryAreBounded, ()) {
  IoContentionConfig config;
  config.open_after = std::chrono::seconds(1);
  IoContentionState state;
  Snapshot snapshot;
  const int parties = *rc::gen::inRange(2, 80);
  for (int i = 0; i < parties; ++i) {
    snapshot.block_io.emplace_back().vm = party_number(i);
  }
  for (int tick = 1; tick < 6; ++tick) {
    snapshot.boot_time = {std::chrono::seconds(1000 + tick)};
    for (std::size_t i = 0; i < snapshot.block_io.size(); ++i) {
      auto& reads = snapshot.block_io[i].by_operation[0];
      reads.operations.value += 10;
      reads.queue_time[20] += 10;
      reads.device_time[i % 7 == 0 ? 20 : 10] += 10;
    }
    const auto findings = detect_io_contention(config, state, snapshot, {});
    RC_ASSERT(findings.has_value());
    RC_ASSERT((findings->size() <= 1U));
    RC_ASSERT((tick < 4 || findings->size() == 1U));
    for (const Finding& finding : *findings) {
      const auto& evidence = std::get<IoContentionEvidence>(finding.evidence);
      RC_ASSERT(evidence.victims.size() <= kMaxContentionParties);
      RC_ASSERT(evidence.culprits.size() <= kMaxContentionParties);
      RC_ASSERT(evidence.victims.size() + evidence.left_out_victim_count +
                    evidence.culprits.size() + evidence.left_out_culprit_count <=
                snapshot.block_io.size());
    }
    RC_ASSERT(state.devices.size() <= 1U);
  }
}

}  // namespace
}  // namespace hvguard::test
