// Which blocked tasks are blocked by one and the same thing. Pure; called once per tick by
// detect/hung_task, which reports one Finding per group.
//
// A task's group follows from its stack (detect/stack_cause.h), the device where that can be known,
// and for a lock's waiter from what its owner waits for. A task stays in its group while its wait
// lasts, and a group keeps its key while it lives, whoever joins or leaves and whatever is learned
// about its device later: an incident must not change its identity.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "detect/blocked_tasks.h"
#include "detect/stalled_devices.h"
#include "model/incident.h"
#include "model/limit.h"
#include "model/snapshot.h"

namespace hvguard {

// What tells one cause from another. Block IO, journals and suspended devices are one family: on
// one device they are one trouble.
struct CauseScope {
  HungTaskCause family = HungTaskCause::kOther;
  std::optional<DeviceId> device;
  std::optional<VmId> vm;               // causes that lie within one VM: kvm, its cgroup's reclaim
  std::optional<Pid> lock_owner;        // a lock whose owner is not itself blocked
  std::uint64_t stack_fingerprint = 0;  // cause other: by the look of it

  auto operator<=>(const CauseScope&) const = default;
};

struct CauseGroup {
  std::string key;  // of the incident's subject
  HungTaskCause cause = HungTaskCause::kOther;
  CauseScope scope;
  bool throttled_by_us = false;    // a member waits where a limit of ours is in force
  BootTime last_member;            // when it last had one
  std::vector<std::string> stack;  // last one seen of its members: a fallback has none
};

using GroupNumber = std::uint64_t;

struct CauseGroupsState {
  std::map<GroupNumber, CauseGroup> groups;
  std::map<CauseScope, GroupNumber> by_scope;
  std::unordered_map<std::uint64_t, GroupNumber> of_wait;  // by TrackedTask::wait_number
  GroupNumber next_number = 1;
};

// The group of each task that has been blocked for at least `min_blocked` and counts; none for the
// others. In the order of `tasks`. `throttles`: the limits of io.max that are in force.
[[nodiscard]] std::vector<std::optional<GroupNumber>> group_by_cause(
    CauseGroupsState& state,
    const Snapshot& snapshot,
    const std::vector<TrackedTask>& tasks,
    const std::vector<StalledIo>& stalled,
    Nanoseconds min_blocked,
    const std::vector<LimitKey>& throttles = {});

// Takes the keys of restored incidents up again, so that the same trouble keeps its identity over a
// restart of the daemon. Keys that do not read are left out.
void restore_groups(CauseGroupsState& state, const std::vector<Incident>& incidents);

// "cause:block_io/dev:8:0"
[[nodiscard]] std::string group_key(HungTaskCause cause, const CauseScope& scope);

}  // namespace hvguard
