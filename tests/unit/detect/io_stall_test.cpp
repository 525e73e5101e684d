#include "detect/io_stall.h"

#include <gtest/gtest.h>

#include "host/host.h"

namespace hvguard {
namespace {

using std::chrono::seconds;
using test::Host;
using test::IoMotion;

const DeviceId kDisk{8, 0};
const DeviceId kVolume{253, 0};

class Stalls {
 public:
  Host host;

  Stalls() {
    DeviceReading disk;
    disk.id = kDisk;
    disk.name = "sda";
    DeviceReading volume;
    volume.id = kVolume;
    volume.name = "dm-0";
    volume.beneath = {kDisk};
    host.devices() = {disk, volume};
  }
  std::vector<Finding> after(int seconds_later) {
    std::vector<Finding> found;
    for (int i = 0; i < seconds_later; ++i) {
      host.advance(seconds(1));
      Snapshot snapshot = *host.snapshot();
      if (drop_times) {
        for (BlockIoReading& io : snapshot.block_io) {
          io.last_completion.reset();
          io.last_idle.reset();
        }
      }
      for (BlockIoReading& io : snapshot.block_io) {
        io.flush_in_flight_count = flushes_in_flight;
      }
      if (drop_block_io) {
        snapshot.block_io.clear();
      }
      last_stalled_ = find_stalled_io(stalled_, snapshot);
      found = detect_io_stalls(IoStallConfig(), state_, snapshot, last_stalled_);
    }
    return found;
  }
  // All that makes no progress, however short.
  [[nodiscard]] const std::vector<StalledIo>& stalled() const { return last_stalled_; }
  bool drop_times = false;
  bool drop_block_io = false;
  std::optional<std::uint64_t> flushes_in_flight;  // of what the readings say

 private:
  std::vector<StalledIo> last_stalled_;
  StalledDevicesState stalled_;
  IoStallState state_;
};

TEST(IoStall, OpensAfterFiveSecondsWithoutACompletion) {
  Stalls stalls;
  const VmId vm = stalls.host.add_vm("web01", 42);
  stalls.host.set_io(vm, kDisk, IoMotion::kMoving);
  EXPECT_TRUE(stalls.after(10).empty());
  stalls.host.set_io(vm, kDisk, IoMotion::kStuck);
  EXPECT_TRUE(stalls.after(4).empty());
  const auto found = stalls.after(1);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].subject.vm, vm);
  EXPECT_EQ(found[0].subject.device, kDisk);
  EXPECT_EQ(found[0].event_time, Host::kStart + seconds(10));
  const auto& evidence = std::get<IoStallEvidence>(found[0].evidence);
  EXPECT_EQ(evidence.device_name, "sda");
  EXPECT_EQ(evidence.in_flight_count, 4U);
}

TEST(IoStall, ALongIdleTimeBeforeIsNoStall) {
  Stalls stalls;
  const VmId vm = stalls.host.add_vm("web01", 42);
  stalls.host.set_io(vm, kDisk, IoMotion::kMoving);
  stalls.after(2);
  stalls.host.set_io(vm, kDisk, IoMotion::kIdle);
  stalls.after(60);
  stalls.host.set_io(vm, kDisk, IoMotion::kStuck);  // in flight since now
  EXPECT_TRUE(stalls.after(4).empty());
  EXPECT_EQ(stalls.after(1).size(), 1U);
}

TEST(IoStall, OurOwnClockServesWhereReadingsCarryNone) {
  Stalls stalls;
  stalls.drop_times = true;
  const VmId vm = stalls.host.add_vm("web01", 42);
  stalls.host.set_io(vm, kDisk, IoMotion::kMoving);
  EXPECT_TRUE(stalls.after(20).empty());
  stalls.host.set_io(vm, kDisk, IoMotion::kStuck);
  EXPECT_TRUE(stalls.after(4).empty());
  EXPECT_EQ(stalls.after(2).size(), 1U);
}

TEST(IoStall, AStackIsReportedOnceAtItsLowestStuckDevice) {
  Stalls stalls;
  const VmId vm = stalls.host.add_vm("web01", 42);
  stalls.host.set_io(vm, kVolume, IoMotion::kStuck);
  stalls.host.set_io(vm, kDisk, IoMotion::kStuck);
  auto found = stalls.after(6);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].subject.device, kDisk);
  stalls.host.set_io(vm, kDisk, IoMotion::kMoving);
  found = stalls.after(6);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].subject.device, kVolume);
}

TEST(IoStall, OtherIoCountsOnlyWhereVmsHaveDisks) {
  Stalls stalls;
  stalls.host.set_io(std::nullopt, kDisk, IoMotion::kStuck);
  EXPECT_TRUE(stalls.after(20).empty());
  const VmId vm = stalls.host.add_vm("web01", 42);
  stalls.host.set_io(vm, kVolume, IoMotion::kMoving);
  const auto found = stalls.after(1);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].subject.key, "dev:8:0");
  EXPECT_FALSE(found[0].subject.vm.has_value());
}

TEST(IoStall, WholeDevicesServeWherePerVmFiguresAreMissing) {
  Stalls stalls;
  const VmId vm = stalls.host.add_vm("web01", 42);
  stalls.host.set_io(vm, kDisk, IoMotion::kMoving);
  auto& disk = stalls.host.devices()[0];
  disk.in_flight_count = 3;
  disk.read_operations = Counter{100};
  disk.write_operations = Counter{100};
  EXPECT_TRUE(stalls.after(6).empty());  // the VM's own IO says that it moves
  stalls.drop_block_io = true;
  const auto found = stalls.after(1);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].subject.key, "dev:8:0");
  stalls.host.devices()[0].read_operations = Counter{101};
  EXPECT_TRUE(stalls.after(4).empty());
}

TEST(IoStall, ASuspendedDeviceSaysHowToResumeIt) {
  Stalls stalls;
  stalls.host.devices()[1].suspended = true;
  const VmId vm = stalls.host.add_vm("web01", 42);
  stalls.host.set_io(vm, kVolume, IoMotion::kStuck);
  const auto found = stalls.after(6);
  EXPECT_NE(found.at(0).summary.find("dmsetup resume"), std::string::npos);
  EXPECT_EQ(std::get<IoStallEvidence>(found[0].evidence).device_suspended, true);
}

// The device's own counters, as /proc/diskstats has them.
void set_counters(Stalls& stalls, std::uint64_t completed, std::optional<std::uint64_t> in_flight) {
  DeviceReading& disk = stalls.host.devices()[0];
  disk.read_operations = Counter{completed};
  disk.write_operations = Counter{completed};
  disk.in_flight_count = in_flight;
}

// A VM whose IO moved, and whose reading says ever after that 4 requests are in flight.
VmId vm_with_requests_left_behind(Stalls& stalls) {
  const VmId vm = stalls.host.add_vm("web01", 42);
  stalls.host.set_io(vm, kDisk, IoMotion::kMoving);
  set_counters(stalls, 100, 1);
  stalls.after(1);
  set_counters(stalls, 200, 1);
  stalls.after(1);
  stalls.host.set_io(vm, kDisk, IoMotion::kStuck);
  return vm;
}

TEST(IoStall, NothingIsStalledWhereTheDeviceHasNothingInFlight) {
  Stalls stalls;
  vm_with_requests_left_behind(stalls);
  set_counters(stalls, 200, 0);
  EXPECT_TRUE(stalls.after(60).empty());
  EXPECT_TRUE(stalls.stalled().empty());  // for hung tasks' devices, too
}

TEST(IoStall, WhatIsInFlightAfterwardsIsStalledNoLongerThanTheDeviceIsBusy) {
  Stalls stalls;
  vm_with_requests_left_behind(stalls);
  set_counters(stalls, 200, 0);
  stalls.after(60);
  const BootTime idle = stalls.host.snapshot()->boot_time;
  set_counters(stalls, 200, 1);
  EXPECT_TRUE(stalls.after(4).empty());
  const auto found = stalls.after(1);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].event_time, idle);
}

TEST(IoStall, AFlushHangsThoughTheDeviceCallsItselfIdle) {
  Stalls stalls;
  vm_with_requests_left_behind(stalls);
  set_counters(stalls, 200, 0);
  stalls.flushes_in_flight = 4;
  EXPECT_EQ(stalls.after(6).size(), 1U);
}

TEST(IoStall, WithoutFlushesAmongThemRequestsOfAnIdleDeviceAreLeftBehind) {
  Stalls stalls;
  vm_with_requests_left_behind(stalls);
  set_counters(stalls, 200, 0);
  stalls.flushes_in_flight = 0;
  EXPECT_TRUE(stalls.after(60).empty());
}

TEST(IoStall, AFlushHangsNoLongerThanItHasBeenThere) {
  Stalls stalls;
  vm_with_requests_left_behind(stalls);
  set_counters(stalls, 200, 0);
  stalls.flushes_in_flight = 0;
  stalls.after(60);
  const BootTime idle = stalls.host.snapshot()->boot_time;
  stalls.flushes_in_flight = 1;
  EXPECT_TRUE(stalls.after(4).empty());
  const auto found = stalls.after(1);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].event_time, idle);
}

TEST(IoStall, ACountThatIsMissingIsNotZero) {
  Stalls stalls;
  vm_with_requests_left_behind(stalls);
  set_counters(stalls, 200, std::nullopt);
  EXPECT_EQ(stalls.after(6).size(), 1U);
  stalls.host.devices().clear();
  EXPECT_EQ(stalls.after(1).size(), 1U);
}

TEST(IoStall, ADeviceThatKeepsNoCountersIsNoWitness) {
  Stalls stalls;
  const VmId vm = stalls.host.add_vm("web01", 42);
  stalls.host.set_io(vm, kDisk, IoMotion::kMoving);
  set_counters(stalls, 100, 0);  // iostats=0: these stay while the VM's own move
  stalls.after(10);
  stalls.host.set_io(vm, kDisk, IoMotion::kStuck);
  EXPECT_EQ(stalls.after(6).size(), 1U);
}

TEST(IoStall, CountersThatStopWhileIoMovesAreBelievedNoLonger) {
  Stalls stalls;
  const VmId vm = vm_with_requests_left_behind(stalls);
  stalls.host.set_io(vm, kDisk, IoMotion::kMoving);
  set_counters(stalls, 200, 0);
  stalls.after(3);
  stalls.host.set_io(vm, kDisk, IoMotion::kStuck);
  EXPECT_EQ(stalls.after(6).size(), 1U);
}

}  // namespace
}  // namespace hvguard
