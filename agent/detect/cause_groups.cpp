#include "detect/cause_groups.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

#include "base/parse.h"
#include "detect/device_stack.h"
#include "detect/task_device.h"
#include "model/names.h"

namespace hvguard {
namespace {

// An empty group is remembered this long, so that tasks which wake and block again find it.
constexpr Nanoseconds kEmptyGroupLife = std::chrono::seconds(60);
// Owners of owners: longer chains of blocked lock holders have not been seen.
constexpr int kMaxLockChain = 16;

// What one task waits for in the end.
struct Verdict {
  HungTaskCause cause = HungTaskCause::kOther;
  CauseScope scope;
  bool throttled_by_us = false;
  BootTime root_since;  // of the task at the end of the lock chain
};

HungTaskCause family_of(HungTaskCause cause) {
  const bool storage =
      cause == HungTaskCause::kFilesystemJournal || cause == HungTaskCause::kSuspendedDm;
  return storage ? HungTaskCause::kBlockIo : cause;
}

// Within a family the cause nearest to the root names the group.
int depth(HungTaskCause cause) {
  switch (cause) {
    case HungTaskCause::kSuspendedDm:
      return 2;
    case HungTaskCause::kBlockIo:
      return 1;
    default:
      return 0;
  }
}

class Resolver {
 public:
  Resolver(const Snapshot& snapshot,
           const std::vector<TrackedTask>& tasks,
           const std::vector<StalledIo>& stalled,
           const std::vector<LimitKey>& throttles)
      : devices_(snapshot, tasks, stalled), stack_(snapshot.devices), throttles_(throttles) {
    by_tid_.reserve(tasks.size());
    for (const TrackedTask& task : tasks) {
      by_tid_.emplace(task.task->id.tid, &task);
    }
  }

  [[nodiscard]] Verdict verdict(const TrackedTask& task) const {
    const TrackedTask* root = &task;
    Pid smallest = task.task->id.tid;
    for (int i = 0; i < kMaxLockChain; ++i) {
      const TrackedTask* const owner = blocked_owner(*root);
      if (owner == nullptr) {
        return verdict_of_root(*root);
      }
      root = owner;
      smallest = std::min(smallest, owner->task->id.tid);
    }
    // They wait for each other: a deadlock, named by one of them.
    Verdict deadlock;
    deadlock.cause = HungTaskCause::kLock;
    deadlock.scope.family = HungTaskCause::kLock;
    deadlock.scope.lock_owner = smallest;
    deadlock.root_since = task.since;
    return deadlock;
  }

 private:
  [[nodiscard]] const TrackedTask* blocked_owner(const TrackedTask& task) const {
    const auto& lock = task.task->lock;
    if (!lock || !lock->owner_tid || *lock->owner_tid == task.task->id.tid) {
      return nullptr;
    }
    const auto at = by_tid_.find(*lock->owner_tid);
    return at == by_tid_.end() ? nullptr : at->second;
  }

  [[nodiscard]] Verdict verdict_of_root(const TrackedTask& root) const {
    Verdict verdict;
    verdict.root_since = root.since;
    verdict.cause = root.task->lock ? HungTaskCause::kLock : root.cause.cause;
    CauseScope& scope = verdict.scope;
    switch (verdict.cause) {
      case HungTaskCause::kBlockIo:
      case HungTaskCause::kFilesystemJournal:
      case HungTaskCause::kSuspendedDm: {
        const TaskDevice found = devices_.device_of(root);
        scope.device = found.device;
        verdict.throttled_by_us = is_throttled(root.vm, found.device);
        if (found.suspended) {
          verdict.cause = HungTaskCause::kSuspendedDm;
        }
        break;
      }
      case HungTaskCause::kLock:
        scope.lock_owner = root.task->lock ? root.task->lock->owner_tid : std::nullopt;
        scope.vm = scope.lock_owner ? std::nullopt : root.vm;
        break;
      case HungTaskCause::kKvm:
        scope.vm = root.vm;
        break;
      case HungTaskCause::kReclaim:
        scope.vm = root.cause.cgroup_reclaim ? root.vm : std::nullopt;
        break;
      case HungTaskCause::kOther:
        scope.stack_fingerprint = root.fingerprint;
        scope.vm = root.fingerprint == 0 ? root.vm : std::nullopt;
        break;
      case HungTaskCause::kSwapIn:
      case HungTaskCause::kFrozenFs:
      case HungTaskCause::kNetworkFs:
      case HungTaskCause::kThrottledByUs:
        break;
    }
    scope.family = family_of(verdict.cause);
    return verdict;
  }

  // A limit of the VM on the device, or on one that it is stacked with; any of its devices where
  // that is not known. A task of no VM may wait for a throttled write that holds a journal, never
  // for a throttled read.
  [[nodiscard]] bool is_throttled(const std::optional<VmId>& vm,
                                  const std::optional<DeviceId>& device) const {
    return std::any_of(throttles_.begin(), throttles_.end(), [&](const LimitKey& limit) {
      const bool is_write =
          limit.kind == LimitKind::kWriteBytes || limit.kind == LimitKind::kWriteOperations;
      if (vm ? *vm != limit.vm : !is_write) {
        return false;
      }
      return !device || *device == limit.device ||
             stack_.is_above_any(*device, std::array{limit.device}) ||
             stack_.is_above_any(limit.device, std::array{*device});
    });
  }

  TaskDevices devices_;
  DeviceStack stack_;
  const std::vector<LimitKey>& throttles_;
  std::unordered_map<Pid, const TrackedTask*> by_tid_;
};

GroupNumber find_or_make(CauseGroupsState& state, const Verdict& verdict) {
  const auto [at, inserted] = state.by_scope.try_emplace(verdict.scope, state.next_number);
  if (inserted) {
    CauseGroup& group = state.groups[state.next_number++];
    group.key = group_key(verdict.cause, verdict.scope);
    group.cause = verdict.cause;
    group.scope = verdict.scope;
  }
  return at->second;
}

// What is learned later about a group: its device, and the deeper cause.
void learn(CauseGroupsState& state, GroupNumber number, const Verdict& verdict) {
  CauseGroup& group = state.groups.at(number);
  if (group.scope.family != verdict.scope.family) {
    return;
  }
  if (!group.scope.device && verdict.scope.device &&
      state.by_scope.try_emplace(verdict.scope, number).second) {
    group.scope.device = verdict.scope.device;
  }
  if (group.scope.device == verdict.scope.device && depth(verdict.cause) > depth(group.cause)) {
    group.cause = verdict.cause;
  }
}

// What was learned about the task itself: a waiter whose lock's owner was found running at first
// has proved to be blocked too, or a stack came where there was none.
bool moves(const CauseGroup& group, const Verdict& verdict, BootTime now, Nanoseconds min_blocked) {
  const bool owner_blocked = group.cause == HungTaskCause::kLock &&
                             verdict.cause != HungTaskCause::kLock &&
                             now - verdict.root_since >= min_blocked;
  const bool had_no_stack =
      group.cause == HungTaskCause::kOther && group.scope.stack_fingerprint == 0;
  return owner_blocked || (had_no_stack && verdict.scope != group.scope);
}

void forget_empty_groups(CauseGroupsState& state, BootTime now) {
  const auto is_old = [&](const CauseGroup& group) {
    return now - group.last_member > kEmptyGroupLife;
  };
  std::erase_if(state.by_scope, [&](const auto& entry) {
    const auto at = state.groups.find(entry.second);
    return at == state.groups.end() || is_old(at->second);
  });
  std::erase_if(state.groups, [&](const auto& entry) { return is_old(entry.second); });
}

std::optional<HungTaskCause> parse_cause(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(HungTaskCause::kOther); ++i) {
    const auto cause = static_cast<HungTaskCause>(i);
    if (to_string(cause) == name) {
      return cause;
    }
  }
  return std::nullopt;
}

// One "/name:value" of a key into the scope; false if it does not read.
bool parse_part(std::string_view part, CauseScope& scope) {
  const std::string_view name = next_field(part, ':');
  if (name == "dev") {
    const auto device = parse_device_id(part);
    scope.device = device ? std::optional(*device) : std::nullopt;
    return scope.device.has_value();
  }
  if (name == "vm") {
    const auto vm = parse_vm_id(part);
    scope.vm = vm ? std::optional(*vm) : std::nullopt;
    return scope.vm.has_value();
  }
  if (name == "owner") {
    scope.lock_owner = parse_number<Pid>(part);
    return scope.lock_owner.has_value();
  }
  if (name == "stack") {
    const auto fingerprint = parse_number<std::uint64_t>(part, 16);
    scope.stack_fingerprint = fingerprint.value_or(0);
    return fingerprint.has_value();
  }
  return false;
}

}  // namespace

std::string group_key(HungTaskCause cause, const CauseScope& scope) {
  std::string key = fmt::format("cause:{}", to_string(cause));
  if (scope.device) {
    key += fmt::format("/dev:{}", to_string(*scope.device));
  }
  if (scope.vm) {
    key += fmt::format("/vm:{}", to_string(*scope.vm));
  }
  if (scope.lock_owner) {
    key += fmt::format("/owner:{}", *scope.lock_owner);
  }
  if (scope.stack_fingerprint != 0) {
    key += fmt::format("/stack:{:016x}", scope.stack_fingerprint);
  }
  return key;
}

std::vector<std::optional<GroupNumber>> group_by_cause(CauseGroupsState& state,
                                                       const Snapshot& snapshot,
                                                       const std::vector<TrackedTask>& tasks,
                                                       const std::vector<StalledIo>& stalled,
                                                       Nanoseconds min_blocked,
                                                       const std::vector<LimitKey>& throttles) {
  const Resolver resolver(snapshot, tasks, stalled, throttles);
  for (auto& [number, group] : state.groups) {  // limits go, and tasks may wait all the same
    group.throttled_by_us = false;
  }
  const BootTime now = snapshot.tasks ? snapshot.tasks->pass_time : snapshot.boot_time;
  std::unordered_map<std::uint64_t, GroupNumber> of_wait;
  std::vector<std::optional<GroupNumber>> groups;
  groups.reserve(tasks.size());
  for (const TrackedTask& task : tasks) {
    if (!task.counts() || now - task.since < min_blocked) {
      groups.emplace_back();
      continue;
    }
    const Verdict verdict = resolver.verdict(task);
    const auto known = state.of_wait.find(task.wait_number);
    GroupNumber number = 0;
    if (known != state.of_wait.end() && state.groups.contains(known->second) &&
        !moves(state.groups.at(known->second), verdict, now, min_blocked)) {
      number = known->second;
      learn(state, number, verdict);
    } else {
      number = find_or_make(state, verdict);
      learn(state, number, verdict);
    }
    CauseGroup& group = state.groups.at(number);
    group.last_member = now;
    group.throttled_by_us = group.throttled_by_us || verdict.throttled_by_us;
    of_wait.emplace(task.wait_number, number);
    groups.emplace_back(number);
  }
  state.of_wait = std::move(of_wait);
  forget_empty_groups(state, now);
  return groups;
}

void restore_groups(CauseGroupsState& state, const std::vector<Incident>& incidents) {
  for (const Incident& incident : incidents) {
    if (incident.kind != IncidentKind::kHungTask || incident.state != IncidentState::kOpen) {
      continue;
    }
    std::string_view rest = incident.subject.key;
    std::string_view head = next_field(rest, '/');
    const bool is_cause = next_field(head, ':') == "cause";
    const auto cause = parse_cause(head);
    CauseGroup group;
    bool readable = is_cause && cause.has_value();
    while (readable && !rest.empty()) {
      readable = parse_part(next_field(rest, '/'), group.scope);
    }
    if (!readable) {
      continue;
    }
    group.key = incident.subject.key;
    group.cause = *cause;
    group.scope.family = family_of(*cause);
    group.last_member = incident.detect_time;
    state.by_scope.try_emplace(group.scope, state.next_number);
    if (incident.subject.device && !group.scope.device) {
      group.scope.device = incident.subject.device;
      state.by_scope.try_emplace(group.scope, state.next_number);
    }
    state.groups.emplace(state.next_number++, std::move(group));
  }
}

}  // namespace hvguard
