#include "detect/derive.h"

#include <gtest/gtest.h>

#include "host/host.h"

namespace hvguard {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Snapshot at(double boot_seconds) {
  Snapshot snapshot;
  snapshot.boot_id = "boot";
  snapshot.boot_time = {milliseconds(static_cast<std::int64_t>(boot_seconds * 1000))};
  return snapshot;
}

VmReading vm(Pid pid) {
  VmReading reading;
  reading.id = {.tgid = pid, .start = BootTime{seconds(1)}, .cgroup = CgroupId{1000}};
  reading.cgroups = {CgroupId{1000}, CgroupId{1001}};
  return reading;
}

BlockIoReading reads(const VmId& id, DeviceId device, std::uint64_t operations) {
  BlockIoReading io;
  io.vm = id;
  io.device = device;
  io.by_operation[0].operations = Counter{operations};
  io.by_operation[0].bytes = Counter{operations * 4096};
  return io;
}

TEST(Derive, TheFirstSnapshotHasNoRates) {
  const Facts facts = derive(nullptr, at(100));
  EXPECT_FALSE(facts.span.has_value());
  EXPECT_FALSE(facts.host.io_full_ratio.has_value());
}

TEST(Derive, AnotherBootOrAClockThatStandsIsNoPredecessor) {
  Snapshot before = at(100);
  Snapshot after = at(101);
  after.boot_id = "other";
  EXPECT_FALSE(derive(&before, after).span.has_value());
  EXPECT_FALSE(derive(&before, at(100)).span.has_value());
  EXPECT_FALSE(derive(&before, at(99)).span.has_value());
}

TEST(Derive, PressureIsTheStalledShareOfTheSpan) {
  Snapshot before = at(100);
  Snapshot after = at(102);
  before.host.io_pressure = Pressure{};
  before.host.io_pressure->full = PressureLine{.total_microseconds = Counter{1'000'000}};
  after.host.io_pressure = Pressure{};
  after.host.io_pressure->full = PressureLine{.total_microseconds = Counter{1'500'000}};
  const Facts facts = derive(&before, after);
  EXPECT_DOUBLE_EQ(facts.host.io_full_ratio.value_or(-1), 0.25);
  EXPECT_FALSE(facts.host.io_some_ratio.has_value());
  EXPECT_FALSE(facts.host.memory_full_ratio.has_value());
}

TEST(Derive, RatesPerVmDoNotCountStackedDevicesTwice) {
  Snapshot before = at(100);
  before.vms = {vm(42)};
  const VmId id = before.vms[0].id;
  DeviceReading disk;
  disk.id = {8, 0};
  DeviceReading volume;
  volume.id = {253, 0};
  volume.beneath = {disk.id};
  before.devices = {disk, volume};
  Snapshot after = before;
  after.boot_time = {seconds(101)};
  before.block_io = {reads(id, disk.id, 100), reads(id, volume.id, 100)};
  after.block_io = {reads(id, disk.id, 150), reads(id, volume.id, 160)};
  const Facts facts = derive(&before, after);
  ASSERT_EQ(facts.vms.size(), 1U);
  ASSERT_EQ(facts.vms[0].devices.size(), 2U);
  EXPECT_DOUBLE_EQ(facts.vms[0].devices[1].read.operations_per_second.value_or(-1), 60);
  EXPECT_DOUBLE_EQ(facts.vms[0].read.operations_per_second.value_or(-1), 50);
  EXPECT_DOUBLE_EQ(facts.vms[0].read.bytes_per_second.value_or(-1), 50 * 4096);
}

TEST(Derive, LatencyIsOfTheSpansOwnRequests) {
  Snapshot before = at(100);
  before.vms = {vm(42)};
  before.block_io = {reads(before.vms[0].id, {8, 0}, 0)};
  before.block_io[0].by_operation[0].queue_time[20] = 1000;  // long ago: slow ones
  Snapshot after = before;
  after.boot_time = {seconds(101)};
  after.block_io[0].by_operation[0].queue_time[5] = 98;
  after.block_io[0].by_operation[0].queue_time[10] = 2;
  Facts facts = derive(&before, after);
  EXPECT_EQ(facts.vms[0].devices[0].read_latency.p50, std::chrono::microseconds(64));
  EXPECT_EQ(facts.vms[0].devices[0].read_latency.p99, std::chrono::microseconds(2048));
  EXPECT_FALSE(facts.vms[0].devices[0].write_latency.p50.has_value());
  after.block_io[0].counts_only = true;
  facts = derive(&before, after);
  EXPECT_FALSE(facts.vms[0].devices[0].read_latency.p50.has_value());
}

std::optional<std::uint32_t> measured_hz(std::uint64_t jiffies, double span) {
  Snapshot before = at(100);
  before.tasks = TaskPass{};
  before.tasks->pass_time = before.boot_time;
  before.tasks->jiffies = 4'294'900'000;
  Snapshot after = at(100 + span);
  after.tasks = TaskPass{};
  after.tasks->pass_time = after.boot_time;
  after.tasks->jiffies = 4'294'900'000 + jiffies;
  return derive(&before, after).jiffies_per_second;
}

TEST(Derive, TheTimerFrequencySnapsToTheFourThereAre) {
  EXPECT_EQ(measured_hz(250, 1), 250U);
  EXPECT_EQ(measured_hz(251, 1), 250U);
  EXPECT_EQ(measured_hz(299, 1), 300U);
  EXPECT_EQ(measured_hz(1004, 1), 1000U);
  EXPECT_EQ(measured_hz(100, 1), 100U);
  EXPECT_EQ(measured_hz(500, 1), std::nullopt);
  EXPECT_EQ(measured_hz(0, 1), std::nullopt);
  EXPECT_EQ(measured_hz(5, 0.02), std::nullopt);  // too short a span to tell
}

TEST(Derive, BlockedTasksFindTheirVm) {
  Snapshot snapshot = at(100);
  snapshot.vms = {vm(42)};
  snapshot.tasks = TaskPass{};
  const auto add = [&](Pid tgid, std::uint64_t cgroup, const std::string& comm, bool kernel) {
    BlockedTask task;
    task.id.tid = tgid + 1;
    task.tgid = tgid;
    task.cgroup = {cgroup};
    task.comm = comm;
    task.kernel_thread = kernel;
    task.blocked_class = BlockedClass::kHard;
    snapshot.tasks->blocked.push_back(task);
  };
  add(42, 0, "CPU 0/KVM", false);
  add(77, 1001, "iou-wrk-42", false);
  add(78, 1, "vhost-42", true);
  add(79, 1, "vhost-42", false);  // anyone can call himself that
  add(80, 1, "vhost-43", true);
  add(81, 999, "dd", false);
  const Facts facts = derive(nullptr, snapshot);
  ASSERT_EQ(facts.vm_of_blocked.size(), 6U);
  EXPECT_EQ(facts.vm_of_blocked[0], snapshot.vms[0].id);
  EXPECT_EQ(facts.vm_of_blocked[1], snapshot.vms[0].id);
  EXPECT_EQ(facts.vm_of_blocked[2], snapshot.vms[0].id);
  EXPECT_FALSE(facts.vm_of_blocked[3].has_value());
  EXPECT_FALSE(facts.vm_of_blocked[4].has_value());
  EXPECT_FALSE(facts.vm_of_blocked[5].has_value());
  EXPECT_EQ(facts.vms[0].blocked_task_count, 3U);
}

TEST(Derive, NeighboursInASharedUnitAreNotTheVm) {
  Snapshot snapshot = at(100);
  snapshot.vms = {vm(42), vm(43)};
  snapshot.tasks = TaskPass{};
  BlockedTask task;
  task.tgid = 99;
  task.cgroup = {1000};
  snapshot.tasks->blocked = {task};
  EXPECT_FALSE(derive(nullptr, snapshot).vm_of_blocked[0].has_value());
  snapshot.vms.pop_back();
  EXPECT_TRUE(derive(nullptr, snapshot).vm_of_blocked[0].has_value());
  snapshot.vms[0].topology.foreign_process_count = 3;
  EXPECT_FALSE(derive(nullptr, snapshot).vm_of_blocked[0].has_value());
}

}  // namespace
}  // namespace hvguard
