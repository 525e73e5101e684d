// Which IO makes no progress: requests in flight and none completed. Pure; called once per tick,
// shared by io_stall (which reports it) and hung_task (which finds a blocked task's device by it).
//
// Two sources must agree. Block IO readings know whose requests are on their way, but a completion
// that was missed leaves one behind. The kernel's own count for the device (/proc/diskstats) knows
// nobody's, but when it says 0 nothing is in flight there, and what was counted so far is
// forgotten. It is believed once its counters have moved: with iostats=0 in the disk's queue it is
// always 0. To about 6.15 it leaves flushes out (block/blk-mq.c, blk_mq_check_inflight), so its 0
// says nothing of a reading that has some in flight.
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

// What the kernel's own count of a device says.
struct DeviceWitness {
  std::uint64_t device_count = 0;    // completed reads and writes, by the device's counters
  std::uint64_t block_io_count = 0;  // the same, by the block IO readings
  bool counts = false;               // its counters move
  std::optional<BootTime> idle;      // when it last said that nothing was in flight
};

struct StalledDevicesState {
  std::map<IoKey, IoProgress> block_io;
  std::map<DeviceId, IoProgress> devices;
  std::map<DeviceId, DeviceWitness> witnesses;
  std::map<IoKey, BootTime> idle;  // as far as the witness knows of this reading
};

struct StalledIo {
  std::optional<VmId> vm;
  DeviceId device;
  std::uint64_t in_flight_count = 0;
  BootTime since;             // last completion, or last idle (by either source) if later
  bool whole_device = false;  // from the device's own counters: nobody's in particular
};

// All that makes no progress now, however short; in the order of the Snapshot, block IO first, then
// whole devices that no block IO reading covers (fallback without in-flight counts).
[[nodiscard]] std::vector<StalledIo> find_stalled_io(StalledDevicesState& state,
                                                     const Snapshot& snapshot);

}  // namespace hvguard
