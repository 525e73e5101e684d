#include "detect/cause_groups.h"

#include <map>
#include <string>

#include <gtest/gtest.h>

#include "detect/hung_task.h"
#include "host/host.h"

namespace hvguard {
namespace {

using std::chrono::seconds;
using test::Host;
using test::IoMotion;

const std::vector<std::string> kIo = {"folio_wait_bit_common", "filemap_read"};
const std::vector<std::string> kFrozen = {"percpu_rwsem_wait", "vfs_write"};
const std::vector<std::string> kJournal = {"jbd2_log_wait_commit", "ext4_sync_file"};

// hung_task alone, on a made-up host.
class HungTasks {
 public:
  Host host;
  std::map<Pid, VmId> vm_of;
  std::vector<LimitKey> throttles;

  std::vector<Finding> after(int seconds_later) {
    host.advance(seconds(seconds_later));
    snapshot_ = host.snapshot();
    Facts facts;
    for (const BlockedTask& task : snapshot_->tasks->blocked) {
      const auto at = vm_of.find(task.id.tid);
      facts.vm_of_blocked.push_back(at == vm_of.end() ? std::nullopt : std::optional(at->second));
    }
    const auto stalled = find_stalled_io(stalled_, *snapshot_);
    const auto tasks = track_blocked_tasks(tasks_, *snapshot_, facts);
    return detect_hung_tasks(HungTaskConfig(), groups_, *snapshot_, tasks, stalled, throttles);
  }
  CauseGroupsState& groups() { return groups_; }

  DeviceReading& add_device(DeviceId id, const std::string& name) {
    DeviceReading reading;
    reading.id = id;
    reading.name = name;
    host.devices().push_back(reading);
    return host.devices().back();
  }

 private:
  std::shared_ptr<const Snapshot> snapshot_;
  StalledDevicesState stalled_;
  BlockedTasksState tasks_;
  CauseGroupsState groups_;
};

const HungTaskEvidence& evidence(const Finding& finding) {
  return std::get<HungTaskEvidence>(finding.evidence);
}

TEST(HungTask, OpensAfterTenSecondsAndTurnsCritical) {
  HungTasks hung;
  hung.host.block(7, BlockedClass::kHard, kIo);
  EXPECT_TRUE(hung.after(9).empty());
  const auto found = hung.after(1);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].severity, Severity::kWarning);
  EXPECT_EQ(found[0].event_time, Host::kStart);
  EXPECT_EQ(evidence(found[0]).stack, kIo);
  EXPECT_EQ(hung.after(19).at(0).severity, Severity::kWarning);
  EXPECT_EQ(hung.after(1).at(0).severity, Severity::kCritical);
}

TEST(HungTask, AQuarterOfAShortTimeoutIsCriticalSooner) {
  HungTasks hung;
  hung.host.set_sysctls(48, 0, 0);
  hung.host.block(7, BlockedClass::kHard, kIo);
  EXPECT_EQ(hung.after(11).at(0).severity, Severity::kWarning);
  EXPECT_EQ(hung.after(1).at(0).severity, Severity::kCritical);
}

TEST(HungTask, OnlyWhatCountsIsFound) {
  HungTasks hung;
  hung.host.block(7, BlockedClass::kKillable, kIo);
  hung.host.block(8, BlockedClass::kFrozen, kIo);
  EXPECT_TRUE(hung.after(200).empty());
}

TEST(HungTask, HostileNamesAreMadeSafe) {
  HungTasks hung;
  hung.host.block(7, BlockedClass::kHard, kIo).task.comm = "\x1b[2J\n)";
  const auto found = hung.after(10);
  EXPECT_EQ(evidence(found.at(0)).members[0].comm, "\\x1b[2J\\x0a)");
  EXPECT_EQ(found[0].summary.find('\x1b'), std::string::npos);
}

TEST(HungTask, MembersAreBoundedAndTheCountIsNot) {
  HungTasks hung;
  for (Pid tid = 100; tid < 300; ++tid) {
    hung.host.block(tid, BlockedClass::kHard, kIo);
  }
  const auto found = hung.after(10);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(evidence(found[0]).task_count, 200U);
  EXPECT_EQ(evidence(found[0]).members.size(), kMaxIncidentMembers);
}

TEST(CauseGroups, DifferentCausesStayApart) {
  HungTasks hung;
  hung.host.block(7, BlockedClass::kHard, kIo);
  hung.host.block(8, BlockedClass::kHard, kFrozen);
  hung.host.block(9, BlockedClass::kHard, {"strange"});
  hung.host.block(10, BlockedClass::kHard, {"stranger"});
  EXPECT_EQ(hung.after(10).size(), 4U);
}

TEST(CauseGroups, TheJournalThreadNamesTheDeviceForItsWaiters) {
  HungTasks hung;
  hung.add_device({8, 0}, "sda");
  auto& thread = hung.host.block(7, BlockedClass::kHard, kIo).task;
  thread.kernel_thread = true;
  thread.comm = "jbd2/sda1-8";
  hung.host.block(8, BlockedClass::kHard, kJournal);
  const auto found = hung.after(10);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].subject.device, (DeviceId{8, 0}));
  EXPECT_EQ(evidence(found[0]).cause, HungTaskCause::kBlockIo);
}

TEST(CauseGroups, AVmWithALimitOfOursMayWaitForThat) {
  HungTasks hung;
  const VmId throttled = hung.host.add_vm("web01", 4711);
  const VmId other = hung.host.add_vm("web02", 4712);
  hung.host.block(7, BlockedClass::kHard, kIo);
  hung.vm_of[7] = throttled;
  hung.throttles = {{.vm = other, .kind = LimitKind::kReadBytes, .device = {8, 0}}};
  const auto found = hung.after(10);
  EXPECT_EQ(evidence(found.at(0)).cause, HungTaskCause::kBlockIo);
  hung.throttles = {{.vm = throttled, .kind = LimitKind::kReadBytes, .device = {8, 0}}};
  const auto limited = hung.after(1);
  EXPECT_EQ(evidence(limited.at(0)).cause, HungTaskCause::kThrottledByUs);
  EXPECT_EQ(limited[0].subject.key, found[0].subject.key);
  hung.throttles.clear();
  EXPECT_EQ(evidence(hung.after(1).at(0)).cause, HungTaskCause::kBlockIo)
      << "the limit is gone, and the task still waits";
}

TEST(CauseGroups, AHostsTaskMayWaitForAThrottledWriteOnly) {
  HungTasks hung;
  const VmId vm = hung.host.add_vm("web01", 4711);
  hung.host.block(7, BlockedClass::kHard, kJournal);
  hung.throttles = {{.vm = vm, .kind = LimitKind::kReadBytes, .device = {8, 0}}};
  EXPECT_EQ(evidence(hung.after(10).at(0)).cause, HungTaskCause::kFilesystemJournal);
  hung.throttles = {{.vm = vm, .kind = LimitKind::kWriteBytes, .device = {8, 0}}};
  EXPECT_EQ(evidence(hung.after(1).at(0)).cause, HungTaskCause::kThrottledByUs);
}

TEST(CauseGroups, AUserProcessCannotNameADevice) {
  HungTasks hung;
  hung.add_device({8, 0}, "sda");
  hung.host.block(7, BlockedClass::kHard, kIo).task.comm = "jbd2/sda1-8";
  EXPECT_FALSE(hung.after(10).at(0).subject.device.has_value());
}

TEST(CauseGroups, AFlushWorkerNamesItsDisk) {
  HungTasks hung;
  hung.add_device({8, 16}, "sdb");
  auto& worker = hung.host.block(7, BlockedClass::kHard, kIo).task;
  worker.kernel_thread = true;
  worker.worker_description = "flush-8:16";
  EXPECT_EQ(hung.after(10).at(0).subject.device, (DeviceId{8, 16}));
}

TEST(CauseGroups, SuspendedDevicesAreToldApartByTheDisksOfTheVms) {
  HungTasks hung;
  const DeviceId disks[] = {{254, 0}, {254, 16}};
  const DeviceId mapped[] = {{253, 0}, {253, 1}};
  for (int i = 0; i < 2; ++i) {
    hung.add_device(disks[i], "vd" + std::string(1, static_cast<char>('a' + i)));
    DeviceReading& device = hung.add_device(mapped[i], "dm-" + std::to_string(i));
    device.beneath = {disks[i]};
    device.suspended = true;
    const Pid pid = 100 + i;
    const VmId vm = hung.host.add_vm("vm" + std::to_string(i), pid);
    hung.host.set_io(vm, disks[i], IoMotion::kIdle);
    hung.host.block(pid, BlockedClass::kHard, {"blk_io_schedule", "__blkdev_direct_IO_simple"});
    hung.vm_of.emplace(pid, vm);
  }
  const auto found = hung.after(10);
  ASSERT_EQ(found.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(found[i].subject.device, mapped[i]);
    EXPECT_EQ(found[i].subject.vm, hung.vm_of.at(static_cast<Pid>(100 + i)));
    EXPECT_EQ(evidence(found[i]).cause, HungTaskCause::kSuspendedDm);
  }
}

TEST(CauseGroups, TheKeyOutlivesItsMembersAndLearnsTheDevice) {
  HungTasks hung;
  hung.add_device({8, 0}, "sda");
  hung.host.block(7, BlockedClass::kHard, kIo);
  EXPECT_EQ(hung.after(10).at(0).subject.key, "cause:block_io");
  hung.host.set_io(std::nullopt, {8, 0}, IoMotion::kStuck);
  auto found = hung.after(10);
  EXPECT_EQ(found.at(0).subject.key, "cause:block_io");
  EXPECT_EQ(found.at(0).subject.device, (DeviceId{8, 0}));
  hung.host.block(8, BlockedClass::kHard, kIo);
  EXPECT_EQ(hung.after(10).size(), 1U);
  hung.host.unblock(7);
  found = hung.after(1);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].subject.key, "cause:block_io");
}

TEST(CauseGroups, WaitersJoinTheirLockOwnersCause) {
  HungTasks hung;
  hung.host.block(7, BlockedClass::kHard, kFrozen);
  hung.host.block(8, BlockedClass::kHard, {"do_truncate"}).task.lock =
      LockWait{.type = LockType::kRwsemWriter, .owner_tid = 7};
  hung.host.block(9, BlockedClass::kHard, {"path_openat"}).task.lock =
      LockWait{.type = LockType::kMutex, .owner_tid = 8};
  const auto found = hung.after(10);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(evidence(found[0]).cause, HungTaskCause::kFrozenFs);
  EXPECT_EQ(evidence(found[0]).task_count, 3U);
}

TEST(CauseGroups, AKillableOwnerLendsItsCauseWithoutBeingCounted) {
  HungTasks hung;
  hung.host.block(7, BlockedClass::kKillable, kIo);
  hung.host.block(8, BlockedClass::kHard, {"do_truncate"}).task.lock =
      LockWait{.type = LockType::kRwsemWriter, .owner_tid = 7};
  const auto found = hung.after(10);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(evidence(found[0]).cause, HungTaskCause::kBlockIo);
  EXPECT_EQ(evidence(found[0]).task_count, 1U);
  EXPECT_EQ(evidence(found[0]).lock_owner_tid, 7);
}

TEST(CauseGroups, ARunningOwnerIsACauseOfItsOwn) {
  HungTasks hung;
  for (const Pid tid : {8, 9}) {
    hung.host.block(tid, BlockedClass::kHard, {"do_truncate"}).task.lock =
        LockWait{.type = LockType::kMutex, .owner_tid = 7};
  }
  const auto found = hung.after(10);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].subject.key, "cause:lock/owner:7");
  // The owner blocks too, and proves to stay: its waiters go over to its cause.
  hung.host.block(7, BlockedClass::kHard, kFrozen);
  EXPECT_EQ(hung.after(5).at(0).subject.key, "cause:lock/owner:7");
  const auto later = hung.after(5);
  ASSERT_EQ(later.size(), 1U);
  EXPECT_EQ(later[0].subject.key, "cause:frozen_fs");
}

TEST(CauseGroups, ADeadlockEnds) {
  HungTasks hung;
  for (const Pid tid : {7, 8, 9}) {
    hung.host.block(tid, BlockedClass::kHard, {"a"}).task.lock =
        LockWait{.type = LockType::kMutex, .owner_tid = tid == 9 ? 7 : tid + 1};
  }
  const auto found = hung.after(10);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].subject.key, "cause:lock/owner:7");
}

TEST(CauseGroups, RestoredKeysAreTakenUpAgain) {
  CauseScope scope;
  scope.family = HungTaskCause::kReclaim;
  scope.vm = VmId{.tgid = 42, .start = BootTime{seconds(3)}, .cgroup = {9}};
  Incident incident;
  incident.kind = IncidentKind::kHungTask;
  incident.subject.key = group_key(HungTaskCause::kReclaim, scope);
  CauseGroupsState state;
  restore_groups(state, {incident});
  ASSERT_EQ(state.by_scope.size(), 1U);
  EXPECT_EQ(state.by_scope.begin()->first, scope);
  for (const std::string key :
       {"", "cause:", "cause:dance", "vm:1-2-3", "cause:block_io/dev:x", "cause:lock/owner:"}) {
    incident.subject.key = key;
    CauseGroupsState other;
    restore_groups(other, {incident});
    EXPECT_TRUE(other.groups.empty()) << key;
  }
}

}  // namespace
}  // namespace hvguard
