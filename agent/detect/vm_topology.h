// vm_topology: a VM that cannot be limited, or that dies with something it should not die with.
// One Finding per VM, with the remedy as a command. Pure; called once per tick. Needs the source
// vm_finder; a VM is judged only once the probe has answered for it.
#pragma once

#include <map>
#include <vector>

#include "base/ids.h"
#include "model/config.h"
#include "model/incident.h"
#include "model/snapshot.h"

namespace hvguard {

struct VmTopologyState {
  // VMs whose pids count is over the bound: it must fall well below to be fine again.
  std::map<VmId, bool> pids_high;
};

[[nodiscard]] std::vector<Finding> detect_vm_topology(const VmTopologyConfig& config,
                                                      VmTopologyState& state,
                                                      const Snapshot& snapshot);

}  // namespace hvguard
