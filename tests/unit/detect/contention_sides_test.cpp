#include "detect/contention_sides.h"

#include <gtest/gtest.h>

namespace hvguard {
namespace {

constexpr std::size_t kBound = 17;
constexpr std::size_t kSlow = 18;
constexpr std::size_t kFast = 12;

class Device {
 public:
  DeviceUse use;

  // p99_bucket: of its reads; none: too few to say.
  Device& party(double share, std::optional<std::size_t> p99_bucket) {
    IoParty party;
    party.vm = VmId{.tgid = static_cast<Pid>(use.parties.size()), .start = {}, .cgroup = {}};
    party.share = share;
    if (p99_bucket) {
      party.read = SlowRequests{.p99_bucket = *p99_bucket, .begin = {}, .end = {}};
    }
    use.parties.push_back(party);
    return *this;
  }
  [[nodiscard]] std::optional<ContentionSides> sides() const { return find_sides(use, kBound); }
};

std::vector<Pid> numbers(const std::vector<const IoParty*>& parties) {
  std::vector<Pid> all;
  for (const IoParty* const party : parties) {
    all.push_back(party->vm->tgid);
  }
  return all;
}

using Numbers = std::vector<Pid>;

TEST(ContentionSides, VictimsSufferAndCulpritsTakeMore) {
  Device device;
  device.party(0.05, kSlow).party(0.40, kSlow).party(0.50, kFast).party(0.05, kFast);
  const auto sides = device.sides();
  ASSERT_TRUE(sides.has_value());
  EXPECT_EQ(numbers(sides->victims), Numbers{0});
  EXPECT_EQ(numbers(sides->culprits), (Numbers{2, 1}));
  EXPECT_EQ(sides->party_count, 4U);
  EXPECT_EQ(sides->fair_share, 0.25);
}

TEST(ContentionSides, NobodySuffersFromHimself) {
  EXPECT_FALSE(Device().party(1, kSlow).sides());
  EXPECT_FALSE(Device().party(0.9, kSlow).party(0.1, kFast).sides());
}

TEST(ContentionSides, WhereNobodySuffersThereIsNone) {
  EXPECT_FALSE(Device().party(0.9, kFast).party(0.1, kFast).sides());
  EXPECT_FALSE(Device().party(0.9, std::nullopt).party(0.1, std::nullopt).sides());
  EXPECT_FALSE(Device().sides());
}

TEST(ContentionSides, TheBoundItselfIsOver) {
  EXPECT_TRUE(Device().party(0.9, kFast).party(0.1, kBound).sides());
  EXPECT_FALSE(Device().party(0.9, kFast).party(0.1, kBound - 1).sides());
}

TEST(ContentionSides, EqualsHaveNoCulprit) {
  Device device;
  device.party(0.52, kSlow).party(0.48, kSlow);
  const auto sides = device.sides();
  ASSERT_TRUE(sides.has_value());
  EXPECT_EQ(numbers(sides->victims), (Numbers{0, 1}));
  EXPECT_TRUE(sides->culprits.empty());
}

TEST(ContentionSides, ManyWhoTakeALittleMoreAreNoCulprits) {
  Device device;
  device.party(0.01, kSlow);
  for (int i = 0; i < 33; ++i) {
    device.party(0.03, kSlow);
  }
  const auto sides = device.sides();
  ASSERT_TRUE(sides.has_value());
  EXPECT_TRUE(sides->culprits.empty());
  EXPECT_EQ(sides->victims.size(), 34U);
}

TEST(ContentionSides, WhoHardlyUsesItDoesNotCount) {
  Device device;
  device.party(0.55, kFast).party(0.35, kSlow).party(0.1, kSlow);
  EXPECT_EQ(device.sides()->fair_share, 1.0 / 3);
  device.party(0.001, std::nullopt).party(0, std::nullopt);
  EXPECT_EQ(device.sides()->fair_share, 1.0 / 3);
  device.party(0.02, std::nullopt);  // few requests, and long ones: a discard
  EXPECT_EQ(device.sides()->fair_share, 1.0 / 4);
}

TEST(ContentionSides, WritesCountAsReadsDo) {
  Device device;
  device.party(0.9, kFast).party(0.1, kFast);
  device.use.parties[1].write = SlowRequests{.p99_bucket = kSlow, .begin = {}, .end = {}};
  EXPECT_EQ(numbers(device.sides()->victims), Numbers{1});
}

TEST(ContentionSides, TheSlowestVictimAndTheLargestCulpritComeFirst) {
  Device device;
  device.party(0.3, kFast).party(0.01, kSlow).party(0.01, kSlow + 2).party(0.01, kSlow);
  device.party(0.37, kFast).party(0.3, kFast);
  EXPECT_EQ(numbers(device.sides()->victims), (Numbers{2, 1, 3}));
  EXPECT_EQ(numbers(device.sides()->culprits), (Numbers{4, 0, 5}));
}

}  // namespace
}  // namespace hvguard
