#include "detect/hung_task.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <unordered_map>

#include <fmt/format.h>

#include "base/text.h"
#include "detect/device_stack.h"

namespace hvguard {
namespace {

constexpr std::size_t kMaxCommBytes = 64;  // 15 bytes, each at worst as \xNN

struct Group {
  CauseGroup* cause = nullptr;
  std::vector<const TrackedTask*> tasks;
};

// What the tasks wait for, for people; device is its name, or empty.
std::string waits_for(HungTaskCause cause, const std::string& device) {
  const std::string on = device.empty() ? "" : " on " + device;
  switch (cause) {
    case HungTaskCause::kBlockIo:
      return "block IO" + on;
    case HungTaskCause::kFilesystemJournal:
      return "a file system's journal" + on;
    case HungTaskCause::kKvm:
      return "KVM";
    case HungTaskCause::kSwapIn:
      return "pages from swap";
    case HungTaskCause::kReclaim:
      return "memory reclaim";
    case HungTaskCause::kLock:
      return "a lock";
    case HungTaskCause::kFrozenFs:
      return "a frozen file system to be thawed";
    case HungTaskCause::kSuspendedDm:
      return "the suspended dm device " + (device.empty() ? "" : device + " ") + "to be resumed";
    case HungTaskCause::kNetworkFs:
      return "a network or user-space file system";
    case HungTaskCause::kThrottledByUs:
      return "IO that hvguard throttles" + on;
    case HungTaskCause::kOther:
      break;
  }
  return "something in the kernel";
}

Severity severity(const HungTaskConfig& config, const Snapshot& snapshot, Nanoseconds blocked) {
  Nanoseconds critical_after = config.critical_after;
  if (const auto& sysctls = snapshot.host.hung_task; sysctls && sysctls->timeout_seconds) {
    // 0 is off; a quarter of more than two minutes is later than any sensible critical_after.
    const std::uint64_t timeout = std::min<std::uint64_t>(*sysctls->timeout_seconds, 86'400);
    if (timeout > 0) {
      critical_after = std::min(critical_after, Nanoseconds(std::chrono::seconds(timeout)) / 4);
    }
  }
  return blocked >= critical_after ? Severity::kCritical : Severity::kWarning;
}

// Names for people, looked up once per tick.
class Names {
 public:
  Names(const Snapshot& snapshot, const std::vector<TrackedTask>& tasks)
      : devices_(snapshot.devices) {
    for (const VmReading& vm : snapshot.vms) {
      vms_.emplace(vm.id, &vm.identity.name);
    }
    for (const TrackedTask& task : tasks) {
      comms_.emplace(task.task->id.tid, &task.task->comm);
    }
  }

  [[nodiscard]] std::string vm(const VmId& id) const {
    const auto at = vms_.find(id);
    return at == vms_.end() ? to_string(id) : *at->second;
  }
  [[nodiscard]] std::string device(DeviceId id) const { return devices_.name_of(id); }
  // Of a blocked task; empty for any other.
  [[nodiscard]] std::string comm(Pid tid) const {
    const auto at = comms_.find(tid);
    return at == comms_.end() ? "" : safe_text(*at->second, kMaxCommBytes);
  }

 private:
  DeviceStack devices_;
  std::map<VmId, const std::string*> vms_;
  std::unordered_map<Pid, const std::string*> comms_;
};

void fill_lock(HungTaskEvidence& evidence, const Group& group, const Names& names) {
  for (const TrackedTask* task : group.tasks) {
    const auto& lock = task->task->lock;
    if (!lock) {
      continue;
    }
    evidence.lock_type = lock->type;
    evidence.lock_owner_tid = lock->owner_tid;
    if (lock->owner_tid) {
      evidence.lock_owner_comm = names.comm(*lock->owner_tid);
    }
    return;  // of the waiter that has waited longest
  }
}

HungTaskEvidence make_evidence(const Group& group, const Names& names) {
  HungTaskEvidence evidence;
  const bool ours =
      group.cause->throttled_by_us && group.cause->cause != HungTaskCause::kSuspendedDm;
  evidence.cause = ours ? HungTaskCause::kThrottledByUs : group.cause->cause;
  evidence.task_count = static_cast<std::uint32_t>(group.tasks.size());
  for (const TrackedTask* task : group.tasks) {
    if (evidence.members.size() < kMaxIncidentMembers) {
      evidence.members.push_back(incident_member(*task));
    }
    if (task->vm) {
      evidence.vms.push_back(*task->vm);
    }
  }
  std::sort(evidence.vms.begin(), evidence.vms.end());
  evidence.vms.erase(std::unique(evidence.vms.begin(), evidence.vms.end()), evidence.vms.end());
  const auto with_stack =
      std::find_if(group.tasks.begin(), group.tasks.end(), [](const TrackedTask* task) {
        return !task->task->stack.empty();
      });
  if (with_stack != group.tasks.end()) {
    group.cause->stack.clear();
    for (const std::string& frame : (*with_stack)->task->stack) {
      group.cause->stack.push_back(safe_text(frame, 128));
    }
  }
  evidence.stack = group.cause->stack;
  fill_lock(evidence, group, names);
  return evidence;
}

std::string whose(const Names& names, const HungTaskEvidence& evidence) {
  if (evidence.vms.empty()) {
    return "";
  }
  if (evidence.vms.size() == 1) {
    return fmt::format(" of VM {}", names.vm(evidence.vms.front()));
  }
  return fmt::format(" of {} VMs", evidence.vms.size());
}

std::string summary(const Group& group,
                    const HungTaskEvidence& evidence,
                    const std::string& owners,
                    const std::string& device) {
  const HungTaskMember& longest = evidence.members.front();
  const bool approximate =
      std::any_of(group.tasks.begin(), group.tasks.end(), [](const TrackedTask* task) {
        return task->blocked_class == BlockedClass::kUnknown;
      });
  const std::string tasks = evidence.task_count == 1
                                ? fmt::format("{} ({}){} is", longest.comm, longest.id.tid, owners)
                                : fmt::format("{} tasks{} are", evidence.task_count, owners);
  std::string text =
      fmt::format("{} blocked, waiting for {}", tasks, waits_for(evidence.cause, device));
  if (evidence.lock_owner_tid) {
    text +=
        fmt::format("; the lock is held by {}{}",
                    *evidence.lock_owner_tid,
                    evidence.lock_owner_comm.empty() ? "" : " (" + evidence.lock_owner_comm + ")");
  }
  if (approximate) {
    text += "; approximate, without BPF killable sleepers look the same";
  }
  return text + ".";
}

Finding make_finding(const HungTaskConfig& config,
                     const Snapshot& snapshot,
                     Group& group,
                     const Names& names) {
  std::sort(group.tasks.begin(), group.tasks.end(), [](const TrackedTask* a, const TrackedTask* b) {
    return std::tie(a->since, a->task->id) < std::tie(b->since, b->task->id);
  });
  HungTaskEvidence evidence = make_evidence(group, names);
  const std::string owners = whose(names, evidence);
  std::string device;
  if (group.cause->scope.device) {
    device = names.device(*group.cause->scope.device);
  }
  Finding finding;
  finding.kind = IncidentKind::kHungTask;
  finding.subject.key = group.cause->key;
  finding.subject.label =
      fmt::format("tasks{} waiting for {}", owners, waits_for(evidence.cause, device));
  finding.subject.device = group.cause->scope.device;
  if (evidence.vms.size() == 1) {
    finding.subject.vm = evidence.vms.front();
  }
  const BootTime since = group.tasks.front()->since;
  finding.severity = severity(config, snapshot, snapshot.tasks->pass_time - since);
  finding.event_time = since;
  finding.summary = summary(group, evidence, owners, device);
  finding.evidence = std::move(evidence);
  return finding;
}

}  // namespace

HungTaskMember incident_member(const TrackedTask& task) {
  return {.id = task.task->id,
          .tgid = task.task->tgid,
          .comm = safe_text(task.task->comm, kMaxCommBytes),
          .blocked_since = task.since,
          .blocked_class = task.blocked_class,
          .vm = task.vm};
}

std::vector<Finding> detect_hung_tasks(const HungTaskConfig& config,
                                       CauseGroupsState& state,
                                       const Snapshot& snapshot,
                                       const std::vector<TrackedTask>& tasks,
                                       const std::vector<StalledIo>& stalled,
                                       const std::vector<LimitKey>& throttles) {
  const auto numbers =
      group_by_cause(state, snapshot, tasks, stalled, config.open_after, throttles);
  std::map<GroupNumber, Group> groups;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    if (numbers[i]) {
      Group& group = groups[*numbers[i]];
      group.cause = &state.groups.at(*numbers[i]);
      group.tasks.push_back(&tasks[i]);
    }
  }
  std::vector<Finding> findings;
  if (groups.empty()) {
    return findings;
  }
  const Names names(snapshot, tasks);
  findings.reserve(groups.size());
  for (auto& [number, group] : groups) {
    findings.push_back(make_finding(config, snapshot, group, names));
  }
  return findings;
}

}  // namespace hvguard
