// io_stall: requests in flight and none completed, per VM and device: the dead disk that
// khungtaskd never sees. Pure; called once per tick. Needs the source block_io.
//
// Reported at the lowest device that is stuck, once: a dm device above it waits for the same
// requests. IO of no VM, or a whole device where per-VM figures are missing, counts only if VMs
// have disks there.
#pragma once

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "detect/stalled_devices.h"
#include "model/config.h"
#include "model/incident.h"
#include "model/snapshot.h"

namespace hvguard {

struct IoStallState {
  // Devices that a VM has done IO on, while both exist: an idle reading may be left out.
  std::set<DeviceId> vm_devices;
};

[[nodiscard]] std::vector<Finding> detect_io_stalls(const IoStallConfig& config,
                                                    IoStallState& state,
                                                    const Snapshot& snapshot,
                                                    const std::vector<StalledIo>& stalled);

}  // namespace hvguard
