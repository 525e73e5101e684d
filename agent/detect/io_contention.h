// io_contention: devices on which someone suffers from what others do. Pure; called once per tick.
// Needs the source block_io with its histograms; the host's IO pressure helps, and is not needed.
//
// contention_sides judges a tick, this file gives it time: it opens after open_after over the
// bound, by at least two windows of requests. Once open it lasts while someone suffers by half the
// bound, and what returns within ten seconds needs no second proof.
//
// PSI tells that the host stands still for want of IO, not where or for whom, and one dd on an
// otherwise idle host is enough for it. So a high "full" opens nothing by itself: it lowers the
// bound to a quarter, for the sake of waits that the block layer does not time (for a free
// request).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "detect/io_shares.h"
#include "model/config.h"
#include "model/facts.h"
#include "model/incident.h"
#include "model/snapshot.h"

namespace hvguard {

struct ContendedDevice {
  bool open = false;
  BootTime since;                  // the first window over the bound began then
  std::optional<BootTime> last;    // someone suffered; none: not looked at since a restart
  std::uint32_t window_count = 0;  // ticks that brought a new window over the bound
  // Repeated as it is for a while: figures that change every second are read by nobody.
  std::optional<Finding> said;
  BootTime said_time;
};

// What is so on a contended device in one tick: findings stand for a while, this does not.
struct Contention {
  DeviceUse use;
  std::optional<Nanoseconds> worst_wait;  // p99 of the slowest victim; none: nobody suffers now
  std::vector<VmId> culprits;
};

struct IoContentionState {
  IoSharesState shares;
  std::map<DeviceId, ContendedDevice> devices;
  // Of devices with an open incident that are in use, by device; none: not known in this tick.
  std::optional<std::vector<Contention>> contentions;
};

// none: nothing is known, since the readings have no histograms (the io.stat fallback).
[[nodiscard]] std::optional<std::vector<Finding>> detect_io_contention(
    const IoContentionConfig& config,
    IoContentionState& state,
    const Snapshot& snapshot,
    const Facts& facts);

// After a restart, before the first tick: what was open needs no second proof.
void restore_io_contention(IoContentionState& state, const std::vector<Incident>& incidents);

}  // namespace hvguard
