// Random worlds for the properties of safety: VMs of all sorts, disks with and without swap,
// blocked tasks, incidents, and wishes of everyone for everything, sensible or not.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
// rapidcheck's gtest.h needs gtest's before it.
#include <rapidcheck/gtest.h>

#include "decide/safety.h"

namespace hvguard::test {

using std::chrono::seconds;

inline int pick(int below) {
  return *rc::gen::inRange(0, below);
}
inline bool chance(int percent) {
  return *rc::gen::inRange(0, 100) < percent;
}

inline VmId vm_number(int number) {
  return {.tgid = number, .start = {}, .cgroup = {static_cast<std::uint64_t>(number)}};
}
// The last one does not exist.
inline const std::vector<DeviceId> kDevices = {{8, 0}, {8, 16}, {253, 0}, {253, 1}, {9, 9}};
// 253:0 and 253:1 lie on 8:0.
inline bool on_one_disk(DeviceId a, DeviceId b) {
  return a == b || (a != DeviceId{8, 16} && b != DeviceId{8, 16});
}

class RandomWorld {
 public:
  SafetyConfig config;
  SafetyInput input;

  RandomWorld() {
    config.max_changes_per_minute = static_cast<std::uint32_t>(1 + pick(6));
    config.allow_write_limits = chance(50);
    config.min_read_bytes = chance(50) ? 16'000'000 : 2;
    snapshot_.boot_time = {seconds(1000)};
    snapshot_.host.hung_task.emplace();
    snapshot_.host.hung_task->timeout_seconds = *rc::gen::element(0U, 10U, 120U);
    for (std::size_t i = 0; i + 1 < kDevices.size(); ++i) {
      DeviceReading device;
      device.id = kDevices[i];
      device.beneath = i < 2 ? std::vector<DeviceId>() : std::vector<DeviceId>{kDevices[0]};
      snapshot_.devices.push_back(device);
    }
    const int count = 1 + pick(12);
    for (int i = 0; i < count; ++i) {
      snapshot_.vms.push_back(arbitrary_vm(i));
      if (chance(10)) {
        input.protected_vms.insert(vm_number(i));
      }
    }
    input.own_cgroup_path = "/system.slice/hvguardd.service";
    input.own_unit = "hvguardd.service";
    input.devices_without_shared_journal = {kDevices[0]};
    snapshot_.tasks.emplace();
    snapshot_.host.swap_devices.emplace();
  }
  // The input points into it.
  RandomWorld(const RandomWorld&) = delete;
  RandomWorld& operator=(const RandomWorld&) = delete;

  const Snapshot& snapshot() const { return snapshot_; }
  const Facts& facts() const { return facts_; }
  const std::vector<Incident>& incidents() const { return incidents_; }
  [[nodiscard]] bool is_fresh() const { return input.now - snapshot_.boot_time <= seconds(3); }
  [[nodiscard]] bool sees_io() const {
    return snapshot_.source(Source::kTasks).state == SourceState::kOk &&
           snapshot_.source(Source::kBlockIo).state == SourceState::kOk;
  }
  [[nodiscard]] bool is_open(const std::string& incident) const {
    for (const Incident& one : incidents_) {
      if (one.id == incident && one.state == IncidentState::kOpen) {
        return true;
      }
    }
    return false;
  }

  void advance() {
    const BootTime before = input.now == BootTime{} ? snapshot_.boot_time : input.now;
    input.now = before + seconds(1 + pick(4));
    if (chance(80)) {
      snapshot_.boot_time = input.now;
    }
    for (SourceStatus& source : snapshot_.sources) {
      source.state = chance(98) ? SourceState::kOk : SourceState::kDegraded;
    }
    if (chance(20)) {
      snapshot_.host.swap_devices.reset();
      if (chance(80)) {
        snapshot_.host.swap_devices.emplace();
        if (chance(40)) {
          snapshot_.host.swap_devices->push_back(kDevices.at(static_cast<std::size_t>(pick(4))));
        }
      }
    }
    incidents_.resize(2);
    for (std::size_t i = 0; i < 2; ++i) {
      incidents_[i].id = "i" + std::to_string(i);
      incidents_[i].kind = IncidentKind::kIoContention;
      if (chance(20)) {
        incidents_[i].state = chance(70) ? IncidentState::kOpen : IncidentState::kResolved;
      }
    }
    block_some();
    for (VmReading& vm : snapshot_.vms) {
      if (chance(10)) {
        vm.cgroup->memory_bytes = arbitrary_use();
      }
      if (chance(2)) {
        input.stopping_vms.insert(vm.id);
      }
    }
    if (chance(5)) {
      input.stopping_vms.clear();
    }
    if (chance(80)) {
      wish();
    }
    input.snapshot = &snapshot_;
    input.facts = &facts_;
    input.incidents = &incidents_;
  }

 private:
  static std::optional<std::uint64_t> arbitrary_use() {
    return chance(10) ? std::nullopt
                      : std::optional<std::uint64_t>(static_cast<std::uint64_t>(pick(100)) << 20U);
  }

  VmReading arbitrary_vm(int number) {
    VmReading vm;
    vm.id = vm_number(number);
    vm.identity.unit = "vm" + std::to_string(number) + ".scope";
    vm.identity.cgroup_path = "/machine.slice/" + vm.identity.unit;
    vm.topology.other_vm_count = 0;
    vm.topology.foreign_process_count = 0;
    vm.identity.vcpu_count = 2;
    vm.cgroup.emplace();
    vm.cgroup->memory_bytes = arbitrary_use();
    vm.cgroup->pids_count = 100;
    switch (pick(12)) {
      case 0:
        vm.identity.cgroup_path = "/system.slice/hvguardd.service/vm";
        break;
      case 1:
        vm.identity.cgroup_path = *rc::gen::element<std::string>("", "/", "/system.slice");
        break;
      case 2:
        vm.topology.other_vm_count = chance(50) ? std::nullopt : std::optional(1U);
        break;
      case 3:
        vm.topology.foreign_process_count = chance(50) ? std::nullopt : std::optional(1U);
        break;
      case 4:
        vm.identity.vcpu_count.reset();
        break;
      case 5:
        vm.identity.unit = *rc::gen::element<std::string>("hvguardd.service", "init.scope");
        break;
      case 6:
        input.vms_in_protected_units.insert(vm.id);
        break;
      default:
        break;
    }
    return vm;
  }

  void block_some() {
    auto& blocked = snapshot_.tasks->blocked;
    if (chance(15)) {
      blocked.clear();
      facts_.vm_of_blocked.clear();
    }
    if (chance(10)) {
      BlockedTask task;
      task.id.tid = next_tid_++;
      task.blocked_class = *rc::gen::element(BlockedClass::kHard, BlockedClass::kKillable);
      task.off_cpu_since = input.now - seconds(pick(40));
      task.stack = {*rc::gen::element<std::string>(
          "folio_wait_bit_common", "jbd2_log_wait_commit", "kvm_vm_release")};
      blocked.push_back(task);
      facts_.vm_of_blocked.push_back(chance(30) ? std::nullopt : std::optional(any_vm()));
    }
  }

  [[nodiscard]] VmId any_vm() const {
    return vm_number(pick(static_cast<int>(snapshot_.vms.size()) + 1));  // the last one is gone
  }

  void wish() {
    input.wanted.clear();
    const int count = pick(30);
    for (int i = 0; i < count; ++i) {
      Limit limit;
      limit.key.vm = any_vm();
      limit.key.kind = chance(60) ? *rc::gen::element(LimitKind::kReadBytes, LimitKind::kWriteBytes)
                                  : static_cast<LimitKind>(pick(kLimitKindCount));
      if (is_per_device(limit.key.kind) != chance(2)) {
        limit.key.device = kDevices.at(static_cast<std::size_t>(chance(5) ? 4 : pick(4)));
      }
      limit.value =
          chance(5) ? static_cast<std::uint64_t>(pick(3)) : arbitrary_value(limit.key.kind);
      limit.origin = chance(30) ? LimitOrigin::kBaseline
                                : *rc::gen::element(LimitOrigin::kGuardRule,
                                                    LimitOrigin::kOperator,
                                                    LimitOrigin::kControlPlane);
      limit.dry_run = chance(10);
      limit.reason = "because";
      if (limit.origin == LimitOrigin::kGuardRule) {
        limit.incident_id = *rc::gen::element<std::string>("i0", "i1", "");
      }
      if (chance(90)) {
        limit.expire_time = input.now + seconds(pick(200) - 20);
      }
      const bool is_second =
          std::any_of(input.wanted.begin(), input.wanted.end(), [&](const Limit& other) {
            return other.key == limit.key && other.origin == limit.origin &&
                   other.incident_id == limit.incident_id && other.dry_run == limit.dry_run;
          });
      if (!is_second) {
        input.wanted.push_back(limit);
      }
    }
  }

  static std::uint64_t arbitrary_value(LimitKind kind) {
    switch (kind) {
      case LimitKind::kIoWeight:
      case LimitKind::kCpuWeight:
        return static_cast<std::uint64_t>(pick(10'100));
      case LimitKind::kPidsMax:
        return static_cast<std::uint64_t>(pick(300));
      case LimitKind::kCpuMax:
        return static_cast<std::uint64_t>(pick(3'000'000));
      case LimitKind::kReadOperations:
      case LimitKind::kWriteOperations:
        return static_cast<std::uint64_t>(pick(1000));
      default:
        return static_cast<std::uint64_t>(pick(200)) << 20U;
    }
  }

  Snapshot snapshot_;
  Facts facts_;
  std::vector<Incident> incidents_;
  Pid next_tid_ = 5000;
};

}  // namespace hvguard::test
