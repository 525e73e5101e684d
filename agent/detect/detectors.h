// The detectors of this build, in one explicit list and a fixed order. Pure; called by the Pipeline
// once per tick. A detector is a function over (config, state, Snapshot, Facts) that returns
// Findings; it names the sources it needs, and while one of those is blind or unknown it is not
// called and its kind is held: open incidents of it go on as they are, neither updated nor
// resolved.
#pragma once

#include <vector>

#include "detect/agent_blind.h"
#include "detect/blocked_tasks.h"
#include "detect/cause_groups.h"
#include "detect/hung_task.h"
#include "detect/incident_book.h"
#include "detect/io_contention.h"
#include "detect/io_stall.h"
#include "detect/panic_forecast.h"
#include "detect/stalled_devices.h"
#include "detect/unclean_reboot.h"
#include "detect/vm_topology.h"
#include "model/config.h"
#include "model/facts.h"
#include "model/incident.h"
#include "model/snapshot.h"

namespace hvguard {

struct DetectorsState {
  StalledDevicesState stalled_devices;
  BlockedTasksState blocked_tasks;
  CauseGroupsState cause_groups;
  PanicForecastState panic_forecast;
  IoStallState io_stall;
  IoContentionState io_contention;
  VmTopologyState vm_topology;
  UncleanRebootState unclean_reboot;
  AgentBlindState agent_blind;
  // What agent_blind said in the last tick: it still holds while the sampler is late.
  std::vector<Finding> agent_blind_findings;
};

struct DetectorsOutput {
  std::vector<Finding> findings;
  HeldKinds held{};   // no news of this kind in this tick
  HeldKinds blind{};  // of these, the kinds whose inputs are blind, not just read less often
};

[[nodiscard]] DetectorsOutput run_detectors(const Config& config,
                                            DetectorsState& state,
                                            const Snapshot& snapshot,
                                            const Facts& facts);

// Every kind but agent_blind is held: what holds while there is no fresh Snapshot.
[[nodiscard]] HeldKinds hold_all_but_agent_blind();

// The longest that any detector needs after a start to see again what it saw before.
[[nodiscard]] Nanoseconds longest_open_after(const Config& config);

}  // namespace hvguard
