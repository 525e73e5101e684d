// From what io_contention saw to the limits that its guard rule wants. Pure; the planner calls it
// once per tick. The rule (contention_rule) thinks in devices and rates; here its wishes become
// Limits with a reason, an incident and a lease, which is renewed as long as that incident is open.
// What outlives its lease is forgotten by the rule too.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "decide/contention_rule.h"
#include "decide/policy.h"
#include "detect/io_contention.h"
#include "model/facts.h"
#include "model/incident.h"
#include "model/limit.h"
#include "model/snapshot.h"

namespace hvguard {

struct ContentionGuardState {
  struct Told {
    std::string reason;
    std::string incident_id;
    BootTime expire_time;
    bool dry_run = false;
  };
  ContentionRuleState rule;
  std::map<std::pair<DeviceId, VmId>, Told> told;  // of each limit that the rule holds
};

struct ContentionGuardInput {
  const Snapshot* snapshot = nullptr;
  const Facts* facts = nullptr;
  const std::vector<Incident>* incidents = nullptr;
  const std::vector<Contention>* contentions = nullptr;  // null: not known in this tick
  const std::map<VmId, VmPolicy>* policies = nullptr;    // of all VMs that do not stop
  std::size_t max_limited_vms = 1;
  Nanoseconds lease{0};
};

// What a guard rule asks for. Limits that come and go are told by whoever compares ticks; decisions
// has what no limit shows.
struct GuardWishes {
  std::vector<Limit> limits;
  std::vector<Decision> decisions;
};

[[nodiscard]] GuardWishes guard_contention(ContentionGuardState& state,
                                           const ContentionGuardInput& input);

}  // namespace hvguard
