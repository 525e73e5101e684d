// Which IO makes no progress: requests in flight and none completed. Pure; called once per tick,
// shared by io_stall (which reports it) and hung_task (which finds a blocked task's device by it).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "model/snapshot.h"

namespace hvguard {

// IO of a VM on a device, or (no VM) of all else there.
using IoKey = std::pair<std::optional<VmId>, DeviceId>;

// When something last moved, by our own clock: for readings that do not carry it themselves.
struct IoProgress {
  std::uint64_t completed_count = 0;
  BootTime since;
};

struct StalledDevicesState {
  std::map<IoKey, IoProgress> block_io;
  std::map<DeviceId, IoProgress> devices;
};

struct StalledIo {
  std::optional<VmId> vm;
  DeviceId device;
  std::uint64_t in_flight_count = 0;
  BootTime since;             // last completion, or last idle if later
  bool whole_device = false;  // from the device's own counters: nobody's in particular
};

// All that makes no progress now, however short; in the order of the Snapshot, block IO first, then
// whole devices that no block IO reading covers (fallback without in-flight counts).
[[nodiscard]] std::vector<StalledIo> find_stalled_io(StalledDevicesState& state,
                                                     const Snapshot& snapshot);

}  // namespace hvguard
