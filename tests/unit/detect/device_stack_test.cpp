#include "detect/device_stack.h"

#include <vector>

#include <gtest/gtest.h>

namespace hvguard {
namespace {

DeviceReading device(DeviceId id, const std::string& name, std::vector<DeviceId> beneath = {}) {
  DeviceReading reading;
  reading.id = id;
  reading.name = name;
  reading.beneath = std::move(beneath);
  return reading;
}

const DeviceId kSda{8, 0};
const DeviceId kNvme{259, 0};
const DeviceId kCrypt{253, 0};
const DeviceId kVolume{253, 1};

std::vector<DeviceReading> devices() {
  return {device(kSda, "sda"),
          device(kNvme, "nvme0n1"),
          device(kCrypt, "dm-0", {kSda}),
          device(kVolume, "dm-1", {kCrypt})};
}

TEST(DeviceStack, SeesThroughAllLayers) {
  const auto all = devices();
  const DeviceStack stack(all);
  EXPECT_EQ(stack.all_beneath(kVolume), (std::vector<DeviceId>{kCrypt, kSda}));
  EXPECT_TRUE(stack.is_above_any(kVolume, std::vector<DeviceId>{kSda}));
  EXPECT_FALSE(stack.is_above_any(kSda, std::vector<DeviceId>{kVolume, kSda}));
  EXPECT_TRUE(stack.all_beneath({1, 1}).empty());
}

TEST(DeviceStack, ARingEnds) {
  const std::vector<DeviceReading> ring = {device({9, 0}, "a", {{9, 1}}),
                                           device({9, 1}, "b", {{9, 0}})};
  EXPECT_EQ(DeviceStack(ring).all_beneath({9, 0}).size(), 1U);
}

TEST(DeviceStack, PartitionsNameTheirDisk) {
  const auto all = devices();
  const DeviceStack stack(all);
  EXPECT_EQ(stack.by_name("sda")->id, kSda);
  EXPECT_EQ(stack.by_name("sda12")->id, kSda);
  EXPECT_EQ(stack.by_name("nvme0n1p2")->id, kNvme);
  EXPECT_EQ(stack.by_name("dm-1")->id, kVolume);
  EXPECT_EQ(stack.by_name("dm-11"), nullptr);  // not partition 1 of dm-1
  EXPECT_EQ(stack.by_name("nvme0n12"), nullptr);
  EXPECT_EQ(stack.by_name("sdab"), nullptr);
  EXPECT_EQ(stack.by_name(""), nullptr);
  EXPECT_EQ(stack.name_of({1, 2}), "1:2");
}

}  // namespace
}  // namespace hvguard
