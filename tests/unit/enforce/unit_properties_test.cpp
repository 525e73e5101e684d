#include "enforce/unit_properties.h"

#include <gtest/gtest.h>

namespace hvguard::enforce {
namespace {

constexpr DeviceId kDisk{8, 0};
constexpr DeviceId kOther{254, 32};
using Properties = std::vector<UnitProperty>;

Properties of(std::vector<Setting> changes, std::vector<DeviceLimits> io_max = {}) {
  return unit_properties(changes, io_max);
}

TEST(UnitProperties, ADeviceGoesByItsNumber) {
  EXPECT_EQ(of({{{LimitKind::kReadBytes, kDisk}, 5}}),
            (Properties{{"IOReadBandwidthMax", DeviceValues{}},
                        {"IOReadBandwidthMax", DeviceValues{{"/dev/block/8:0", 5}}}}));
}

TEST(UnitProperties, TheOtherKeysOfADeviceAreSentToo) {
  const std::vector<DeviceLimits> file = {{kDisk, {std::nullopt, 300, std::nullopt, std::nullopt}},
                                          {kOther, {7, 8, std::nullopt, std::nullopt}}};
  EXPECT_EQ(
      of({{{LimitKind::kReadBytes, kDisk}, 5}}, file),
      (Properties{
          {"IOReadBandwidthMax", DeviceValues{}},
          {"IOReadBandwidthMax", DeviceValues{{"/dev/block/8:0", 5}, {"/dev/block/254:32", 7}}},
          {"IOReadIOPSMax", DeviceValues{}},
          {"IOReadIOPSMax", DeviceValues{{"/dev/block/8:0", 300}, {"/dev/block/254:32", 8}}}}));
}

TEST(UnitProperties, OneDeviceIsTakenBackAndTheOthersStay) {
  const std::vector<DeviceLimits> file = {{kDisk, {5, std::nullopt, std::nullopt, std::nullopt}},
                                          {kOther, {7, std::nullopt, std::nullopt, std::nullopt}}};
  EXPECT_EQ(of({{{LimitKind::kReadBytes, kDisk}, std::nullopt}}, file),
            (Properties{{"IOReadBandwidthMax", DeviceValues{}},
                        {"IOReadBandwidthMax", DeviceValues{{"/dev/block/254:32", 7}}}}));
}

TEST(UnitProperties, EachScalarHasItsWordForNoLimit) {
  const auto reset = [](LimitKind kind) { return of({{{kind, {}}, unset_value(kind)}}).at(0); };
  EXPECT_EQ(reset(LimitKind::kMemoryHigh), (UnitProperty{"MemoryHigh", UINT64_MAX}));
  EXPECT_EQ(reset(LimitKind::kMemoryMax), (UnitProperty{"MemoryMax", UINT64_MAX}));
  EXPECT_EQ(reset(LimitKind::kSwapMax), (UnitProperty{"MemorySwapMax", UINT64_MAX}));
  EXPECT_EQ(reset(LimitKind::kMemoryLow), (UnitProperty{"MemoryLow", 0U}));
  EXPECT_EQ(reset(LimitKind::kPidsMax), (UnitProperty{"TasksMax", UINT64_MAX}));
  EXPECT_EQ(reset(LimitKind::kCpuMax), (UnitProperty{"CPUQuotaPerSecUSec", UINT64_MAX}));
  EXPECT_EQ(reset(LimitKind::kCpuWeight), (UnitProperty{"CPUWeight", UINT64_MAX}));
  EXPECT_EQ(reset(LimitKind::kIoWeight), (UnitProperty{"IOWeight", UINT64_MAX}));
}

TEST(UnitProperties, OnlyServicesAndScopesOfAProperName) {
  EXPECT_TRUE(is_limitable_unit("machine-qemu\\x2d1\\x2dweb01.scope"));
  EXPECT_TRUE(is_limitable_unit("vm@1.service"));
  for (const char* const unit : {"",
                                 ".service",
                                 "machine.slice",
                                 "a.socket",
                                 "web",
                                 "a b.service",
                                 "a/b.scope",
                                 "-.slice"}) {
    EXPECT_FALSE(is_limitable_unit(unit)) << unit;
  }
  EXPECT_FALSE(is_limitable_unit(std::string(300, 'x') + ".scope"));
}

}  // namespace
}  // namespace hvguard::enforce
