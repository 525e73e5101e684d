#include "observe/device_reader.h"

#include <array>

#include <gtest/gtest.h>

#include "tree.h"

namespace hvguard::observe {
namespace {

using test::Tree;

class DeviceReaderTest : public ::testing::Test {
 protected:
  DeviceReaderTest() {
    tree_.add_host();
    disk("sda", "8:0");
    disk("dm-0", "253:0");
    disk("loop0", "7:0");
    tree_.directory("sys/devices/block/sda/sda3");
    tree_.link("sys/block/dm-0/slaves/sda3", "../../../devices/block/sda/sda3");
    tree_.file("sys/block/dm-0/dm/suspended", "0\n");
    stats(
        "   8 0 sda 10 0 20 0 30 0 40 0 2 50 0\n"
        "   8 3 sda3 1 0 2 0 3 0 4 0 0 5 0\n"
        "   7 0 loop0 0 0 0 0 0 0 0 0 0 0 0\n"
        " 253 0 dm-0 1 0 2 0 3 0 4 0 1 5 0\n");
  }

  void disk(const std::string& name, const std::string& number) {
    tree_.file("sys/block/" + name + "/dev", number + "\n");
    tree_.directory("sys/block/" + name + "/slaves");
  }
  void stats(std::string_view text) { tree_.file("proc/diskstats", text); }
  std::vector<DeviceReading> read() {
    if (!reader_) {
      root_.emplace(HostRoot::open(tree_.root()).value());
      reader_.emplace(*root_);
    }
    book_.begin_tick({});
    auto devices = reader_->read(*root_, buffer_, book_);
    book_.fill(snapshot_);
    return devices;
  }

  Tree tree_;
  std::optional<HostRoot> root_;
  std::optional<DeviceReader> reader_;
  std::array<char, 65536> buffer_{};
  SourceBook book_;
  Snapshot snapshot_;
};

TEST_F(DeviceReaderTest, WholeDisksWithWhatTheyStandOn) {
  const auto devices = read();
  ASSERT_EQ(devices.size(), 2U) << "no partition, no unused loop device";
  EXPECT_EQ(devices[0].name, "sda");
  EXPECT_EQ(devices[0].read_operations, Counter{10});
  EXPECT_EQ(devices[0].read_bytes, Counter{20 * 512});
  EXPECT_EQ(devices[0].write_bytes, Counter{40 * 512});
  EXPECT_EQ(devices[0].in_flight_count, 2U);
  EXPECT_EQ(devices[0].busy_microseconds, Counter{50000});
  EXPECT_FALSE(devices[0].suspended) << "not a dm device";
  EXPECT_EQ(devices[1].name, "dm-0");
  EXPECT_EQ(devices[1].beneath, (std::vector<DeviceId>{{8, 0}})) << "through the partition";
  EXPECT_EQ(devices[1].suspended, false);
}

TEST_F(DeviceReaderTest, SuspendIsSeen) {
  EXPECT_EQ(read()[1].suspended, false);
  tree_.file("sys/block/dm-0/dm/suspended", "1\n");
  EXPECT_EQ(read()[1].suspended, true);
}

TEST_F(DeviceReaderTest, NewAndRenamedDisksAreLookedUpAtOnce) {
  EXPECT_EQ(read().size(), 2U);
  disk("sdb", "8:16");
  stats("   8 0 sda 10 0 20 0 30 0 40 0 2 50 0\n   8 16 sdb 1 0 2 0 3 0 4 0 0 5 0\n");
  const auto devices = read();
  ASSERT_EQ(devices.size(), 2U);
  EXPECT_EQ(devices[1].name, "sdb");
}

TEST_F(DeviceReaderTest, NoSysfsIsBlindNotEmpty) {
  tree_.remove("sys/block");
  EXPECT_TRUE(read().empty());
  EXPECT_EQ(snapshot_.source(Source::kBlockDevices).state, SourceState::kBlind);
  EXPECT_EQ(snapshot_.source(Source::kDiskstats).state, SourceState::kOk);
}

TEST_F(DeviceReaderTest, TruncatedLinesAreLeftOut) {
  stats("   8 0 sda 10 0 20\n 253 0 dm-0 1 0 2 0 3 0 4 0 1 5 0");
  const auto devices = read();
  ASSERT_EQ(devices.size(), 1U);
  EXPECT_EQ(devices[0].name, "dm-0");
}

}  // namespace
}  // namespace hvguard::observe
