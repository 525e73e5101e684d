#include "decide/throttle_chain.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "decide/drain_floor.h"
#include "detect/stack_cause.h"

namespace hvguard {
namespace {

using std::chrono::seconds;

constexpr int kMaxLockChain = 16;

// Waits that no io.max can be the cause of.
bool is_elsewhere(HungTaskCause cause) {
  return cause == HungTaskCause::kKvm || cause == HungTaskCause::kFrozenFs ||
         cause == HungTaskCause::kNetworkFs;
}

bool is_for_a_disk(HungTaskCause cause) {
  return cause == HungTaskCause::kBlockIo || cause == HungTaskCause::kFilesystemJournal ||
         cause == HungTaskCause::kReclaim || cause == HungTaskCause::kThrottledByUs;
}

bool is_write(LimitKind kind) {
  return kind == LimitKind::kWriteBytes || kind == LimitKind::kWriteOperations;
}

// Indices into blocked, by thread.
using ByTid = std::unordered_map<Pid, std::size_t>;

// The one at the end of the locks that this task waits for.
std::size_t root_of(const std::vector<BlockedTask>& blocked, const ByTid& by_tid, std::size_t at) {
  for (int i = 0; i < kMaxLockChain; ++i) {
    const auto& lock = blocked[at].lock;
    const auto owner = lock && lock->owner_tid ? by_tid.find(*lock->owner_tid) : by_tid.end();
    if (owner == by_tid.end()) {
      return at;
    }
    at = owner->second;
  }
  return at;
}

// One for each device is enough.
template <class Wait>
void keep_longest(std::vector<Wait>& waits, const Wait& wait) {
  const auto same = std::find_if(
      waits.begin(), waits.end(), [&](const Wait& one) { return one.device == wait.device; });
  if (same == waits.end()) {
    waits.push_back(wait);
  } else {
    same->length = std::max(same->length, wait.length);
  }
}

bool any_still_blocked(const HungTaskEvidence& evidence, const Snapshot* snapshot) {
  if (snapshot == nullptr || !snapshot->tasks) {
    return true;
  }
  return std::any_of(
      snapshot->tasks->blocked.begin(), snapshot->tasks->blocked.end(), [&](const auto& task) {
        return std::any_of(evidence.members.begin(),
                           evidence.members.end(),
                           [&](const HungTaskMember& member) { return member.id == task.id; });
      });
}

}  // namespace

Nanoseconds throttle_patience(const Snapshot* snapshot) {
  const auto timeout = hung_task_timeout(snapshot);
  const Nanoseconds longest = seconds(kDefaultHungTaskSeconds) / 4;
  return timeout ? std::min<Nanoseconds>(longest, Nanoseconds(seconds(*timeout)) / 4) : longest;
}

Nanoseconds throttle_patience_end(const Snapshot* snapshot) {
  return throttle_patience(snapshot) * 2;
}

bool share_a_device(const DeviceStack& stack, DeviceId a, DeviceId b) {
  if (a == b) {
    return true;
  }
  std::vector<DeviceId> below_a = stack.all_beneath(a);
  below_a.push_back(a);
  std::vector<DeviceId> below_b = stack.all_beneath(b);
  below_b.push_back(b);
  return std::any_of(below_a.begin(), below_a.end(), [&](DeviceId one) {
    return std::find(below_b.begin(), below_b.end(), one) != below_b.end();
  });
}

ThrottleChains::ThrottleChains(BootTime now,
                               const Snapshot* snapshot,
                               const Facts* facts,
                               const std::vector<Incident>* incidents,
                               const DeviceStack& stack)
    : now_(now), patience_(throttle_patience(snapshot)), stack_(stack) {
  if (snapshot != nullptr && snapshot->tasks && facts != nullptr) {
    add_blocked_tasks(*snapshot, *facts);
  }
  if (incidents == nullptr) {
    return;
  }
  for (const Incident& incident : *incidents) {
    if (incident.state != IncidentState::kOpen) {
      continue;
    }
    if (incident.kind == IncidentKind::kHungTask) {
      add_hung_task(incident, snapshot);
    } else if (incident.kind == IncidentKind::kIoStall) {
      add_io_stall(incident);
    }
  }
}

void ThrottleChains::add_blocked_tasks(const Snapshot& snapshot, const Facts& facts) {
  const std::vector<BlockedTask>& blocked = snapshot.tasks->blocked;
  ByTid by_tid;
  std::vector<std::size_t> old_ones;
  for (std::size_t i = 0; i < blocked.size(); ++i) {
    const BlockedTask& task = blocked[i];
    const bool counts =
        task.blocked_class == BlockedClass::kHard || task.blocked_class == BlockedClass::kUnknown;
    if (counts && task.off_cpu_since && now_ - *task.off_cpu_since >= patience_) {
      old_ones.push_back(i);
    }
  }
  if (old_ones.empty()) {
    return;
  }
  for (std::size_t i = 0; i < blocked.size(); ++i) {
    by_tid.emplace(blocked[i].id.tid, i);
  }
  for (const std::size_t i : old_ones) {
    const std::size_t root = root_of(blocked, by_tid, i);
    const HungTaskCause cause = classify_stack(blocked[root].stack).cause;
    const Wait wait{.device = std::nullopt, .length = now_ - *blocked[i].off_cpu_since};
    const auto vm = root < facts.vm_of_blocked.size() ? facts.vm_of_blocked[root] : std::nullopt;
    if (is_elsewhere(cause)) {
      continue;
    }
    if (vm) {
      keep_longest(of_vm_[*vm], wait);
    } else if (is_for_a_disk(cause) || blocked[root].stack.empty()) {
      keep_longest(of_writes_, wait);
    }
  }
}

void ThrottleChains::add_hung_task(const Incident& incident, const Snapshot* snapshot) {
  const auto* const evidence = std::get_if<HungTaskEvidence>(&incident.evidence);
  if (evidence == nullptr || evidence->members.empty() || is_elsewhere(evidence->cause) ||
      !any_still_blocked(*evidence, snapshot)) {
    return;
  }
  const Nanoseconds length = now_ - evidence->members.front().blocked_since;  // longest first
  if (length < patience_) {
    return;
  }
  const Wait wait{.device = incident.subject.device, .length = length};
  for (const VmId& vm : evidence->vms) {
    keep_longest(of_vm_[vm], wait);
  }
  if (is_for_a_disk(evidence->cause)) {
    keep_longest(of_writes_, wait);
  }
}

void ThrottleChains::add_io_stall(const Incident& incident) {
  const auto* const evidence = std::get_if<IoStallEvidence>(&incident.evidence);
  const BootTime since = evidence != nullptr ? evidence->stalled_since : incident.event_time;
  const Wait wait{.device = incident.subject.device, .length = now_ - since};
  if (incident.subject.vm) {
    keep_longest(of_vm_[*incident.subject.vm], wait);
  } else {
    keep_longest(of_all_, wait);
  }
}

bool ThrottleChains::touches(const Wait& wait, DeviceId device) const {
  return !wait.device || share_a_device(stack_, *wait.device, device);
}

std::optional<Nanoseconds> ThrottleChains::wait_behind(const LimitKey& key) const {
  if (!is_per_device(key.kind)) {
    return std::nullopt;
  }
  std::optional<Nanoseconds> longest;
  const auto add = [&](const std::vector<Wait>& waits) {
    for (const Wait& wait : waits) {
      if ((!longest || wait.length > *longest) && touches(wait, key.device)) {
        longest = wait.length;
      }
    }
  };
  if (const auto at = of_vm_.find(key.vm); at != of_vm_.end()) {
    add(at->second);
  }
  if (is_write(key.kind)) {
    add(of_writes_);
  }
  add(of_all_);
  return longest;
}

}  // namespace hvguard
