// A small host for the tests of safety: VMs each in a unit of its own, two disks and an LV, all
// well and known. Each test changes what it is about and asks once a second.
#pragma once

#include <string>
#include <vector>

#include "decide/safety.h"

namespace hvguard::test {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline constexpr DeviceId kDisk{8, 0};
inline constexpr DeviceId kOtherDisk{8, 16};
inline constexpr DeviceId kVolume{253, 0};      // on kDisk
inline constexpr DeviceId kSwapVolume{253, 1};  // on kDisk as well
inline constexpr std::uint64_t kMega = 1'000'000;

class SafetyStory {
 public:
  SafetyConfig config;
  SafetyState state;
  Snapshot snapshot;
  Facts facts;
  std::vector<Incident> incidents;
  SafetyInput input;  // without `wanted`, which is an argument
  SafeLimits last;

  explicit SafetyStory(int vm_count = 8) {
    snapshot.boot_time = {seconds(1000)};
    for (SourceStatus& source : snapshot.sources) {
      source.state = SourceState::kOk;
    }
    snapshot.host.hung_task = HungTaskSysctls{.timeout_seconds = 120,
                                              .check_interval_seconds = 0,
                                              .check_count = {},
                                              .warnings_left = {},
                                              .detect_count = {},
                                              .hung_task_panic = 1,
                                              .panic_seconds = {}};
    snapshot.host.swap_devices.emplace();
    snapshot.tasks.emplace();
    add_device(kDisk, "sda", {});
    add_device(kOtherDisk, "sdb", {});
    add_device(kVolume, "dm-0", {kDisk});
    add_device(kSwapVolume, "dm-1", {kDisk});
    for (int i = 1; i <= vm_count; ++i) {
      add_vm(i);
    }
    input.own_cgroup_path = "/system.slice/hvguardd.service";
    input.own_unit = "hvguardd.service";
  }

  static VmId id(int number) {
    return {.tgid = number, .start = {}, .cgroup = {static_cast<std::uint64_t>(number)}};
  }
  VmReading& vm(int number) { return snapshot.vms.at(static_cast<std::size_t>(number - 1)); }

  static Limit limit(int vm,
                     LimitKind kind,
                     std::uint64_t value,
                     LimitOrigin origin = LimitOrigin::kBaseline) {
    Limit limit;
    limit.key = {.vm = id(vm), .kind = kind, .device = is_per_device(kind) ? kDisk : DeviceId{}};
    limit.value = value;
    limit.origin = origin;
    limit.reason = "because";
    return limit;
  }
  // A guard rule's answer to the open incident.
  Limit cut(int vm, std::uint64_t value, LimitKind kind = LimitKind::kReadBytes) {
    open_incident();
    Limit cut = limit(vm, kind, value, LimitOrigin::kGuardRule);
    cut.incident_id = "i1";
    return cut;
  }
  Limit asked(int vm, std::uint64_t value, Nanoseconds lease = seconds(600)) {
    Limit asked = limit(vm, LimitKind::kReadBytes, value, LimitOrigin::kOperator);
    asked.expire_time = snapshot.boot_time + lease;
    return asked;
  }
  void open_incident() {
    if (incidents.empty()) {
      Incident incident;
      incident.id = "i1";
      incident.kind = IncidentKind::kIoContention;
      incidents.push_back(incident);
    }
  }
  // A thread of the VM (0: of none) that has been in hard D since then.
  BlockedTask& block(int vm, BootTime since, std::vector<std::string> stack) {
    BlockedTask task;
    task.id = {.tid = next_tid_++, .start = {}};
    task.blocked_class = BlockedClass::kHard;
    task.off_cpu_since = since;
    task.stack = std::move(stack);
    facts.vm_of_blocked.push_back(vm == 0 ? std::nullopt : std::optional(id(vm)));
    return snapshot.tasks->blocked.emplace_back(std::move(task));
  }
  void unblock_all() {
    snapshot.tasks->blocked.clear();
    facts.vm_of_blocked.clear();
  }

  // A second later, with fresh data.
  const SafeLimits& tick(std::vector<Limit> wanted) {
    snapshot.boot_time = snapshot.boot_time + seconds(1);
    return ask(std::move(wanted), snapshot.boot_time);
  }
  const SafeLimits& ask(std::vector<Limit> wanted, BootTime now) {
    input.now = now;
    input.wanted = std::move(wanted);
    input.snapshot = &snapshot;
    input.facts = &facts;
    input.incidents = &incidents;
    last = make_safe(config, state, input);
    return last;
  }
  [[nodiscard]] BootTime now() const { return snapshot.boot_time; }
  // Of the only limit; 0 if there is none.
  [[nodiscard]] std::uint64_t value() const {
    return last.limits.size() == 1 ? last.limits[0].value : 0;
  }
  // "set tightened refused"
  [[nodiscard]] std::string steps() const {
    std::string steps;
    for (const Decision& decision : last.decisions) {
      steps += (steps.empty() ? "" : " ") + std::string(to_string(decision.step));
    }
    return steps;
  }
  [[nodiscard]] std::string reason() const {
    return last.decisions.empty() ? "" : last.decisions.back().reason;
  }

 private:
  void add_device(DeviceId device, const std::string& name, std::vector<DeviceId> beneath) {
    DeviceReading reading;
    reading.id = device;
    reading.name = name;
    reading.beneath = std::move(beneath);
    snapshot.devices.push_back(reading);
  }
  void add_vm(int number) {
    VmReading vm;
    vm.id = id(number);
    vm.identity.name = "vm" + std::to_string(number);
    vm.identity.unit = vm.identity.name + ".scope";
    vm.identity.cgroup_path = "/machine.slice/" + vm.identity.unit;
    vm.identity.vcpu_count = 2;
    vm.topology.foreign_process_count = 0;
    vm.topology.other_vm_count = 0;
    vm.cgroup.emplace();
    vm.cgroup->memory_bytes = 1ULL << 30U;
    vm.cgroup->pids_count = 100;
    snapshot.vms.push_back(vm);
  }

  Pid next_tid_ = 5000;
};

}  // namespace hvguard::test
