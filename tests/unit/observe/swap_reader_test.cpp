#include "observe/swap_reader.h"

#include <array>

#include <gtest/gtest.h>

#include "tree.h"

namespace hvguard::observe {
namespace {

using test::Tree;
using Devices = std::optional<std::vector<DeviceId>>;

constexpr std::string_view kHeading = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";

class SwapReaderTest : public ::testing::Test {
 protected:
  SwapReaderTest() {
    tree_.add_host();
    tree_.file("sys/block/sda/dev", "8:0\n");
    tree_.file("sys/block/dm-1/dev", "253:1\n");
    tree_.link("sys/class/block/sda", "../../devices/pci0/ata1/block/sda");
    tree_.link("sys/class/block/sda2", "../../devices/pci0/ata1/block/sda/sda2");
    tree_.link("sys/class/block/dm-1", "../../devices/virtual/block/dm-1");
  }
  void swaps(const std::string& lines) { tree_.file("proc/swaps", std::string(kHeading) + lines); }
  Devices read(std::optional<std::uint64_t> total = 4096) {
    const auto root = HostRoot::open(tree_.root()).value();
    HostReading host;
    host.meminfo.emplace();
    host.meminfo->swap_total_bytes = total;
    book_.begin_tick(BootTime{std::chrono::seconds(5)});
    reader_.read(root, buffer_, host, book_);
    book_.fill(snapshot_);
    return host.swap_devices;
  }

  Tree tree_;
  SwapReader reader_;
  std::array<char, 65536> buffer_{};
  SourceBook book_;
  Snapshot snapshot_;
};

TEST_F(SwapReaderTest, NamesTheDisksOfPartitionsVolumesAndDisks) {
  swaps(
      "/dev/sda2                               partition\t8388604\t\t0\t\t-2\n"
      "/dev/dm-1                               partition\t8388604\t\t0\t\t-3\n"
      "/dev/sda                                partition\t8388604\t\t0\t\t-4\n");
  EXPECT_EQ(read(), (std::vector<DeviceId>{{8, 0}, {253, 1}}));
  EXPECT_TRUE(snapshot_.gaps.empty());
}

TEST_F(SwapReaderTest, WhatIsNotForSureIsNotKnown) {
  for (const std::string line : {"/swapfile file 8388604 0 -2\n",
                                 "/dev/mapper/swap partition 8388604 0 -2\n",
                                 "/dev/sdz9 partition 8388604 0 -2\n",
                                 "/dev/sda2\\040(deleted) partition 8388604 0 -2\n",
                                 "nonsense\n"}) {
    swaps("/dev/sda2 partition 8388604 0 -2\n" + line);
    reader_.rescan();
    EXPECT_FALSE(read()) << line;
    EXPECT_EQ(snapshot_.gaps.size(), 1U);
  }
  tree_.remove("proc/swaps");
  reader_.rescan();
  EXPECT_FALSE(read());
}

TEST_F(SwapReaderTest, WithoutSwapThereIsNone) {
  tree_.remove("proc/swaps");
  EXPECT_EQ(read(0), std::vector<DeviceId>());
  EXPECT_TRUE(snapshot_.gaps.empty());
}

TEST_F(SwapReaderTest, LooksAgainWithARescanOrWhenTheTotalChanges) {
  swaps("/dev/sda2 partition 8388604 0 -2\n");
  EXPECT_EQ(read(), (std::vector<DeviceId>{{8, 0}}));
  swaps("/dev/dm-1 partition 8388604 0 -2\n");
  EXPECT_EQ(read(), (std::vector<DeviceId>{{8, 0}}));
  EXPECT_EQ(read(8192), (std::vector<DeviceId>{{253, 1}}));
  swaps("/dev/sda2 partition 8388604 0 -2\n");
  reader_.rescan();
  EXPECT_EQ(read(8192), (std::vector<DeviceId>{{8, 0}}));
  swaps("/swapfile file 8388604 0 -2\n");
  EXPECT_FALSE(read(std::nullopt)) << "without a total, each time";
}

}  // namespace
}  // namespace hvguard::observe
