// throttled_by_us: who waits behind a limit. Pure; built once per tick by safety.
//
// A limit that makes a task wait as long as this is no longer traffic control: at the floors, all
// that was queued before it has drained by then (drain_floor.h), so that what is left is a knot:
// a lock held, a journal waiting for a throttled write (facts B.6). It must go before khungtaskd
// counts the task.
#pragma once

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "detect/device_stack.h"
#include "model/facts.h"
#include "model/incident.h"
#include "model/limit.h"
#include "model/snapshot.h"

namespace hvguard {

// From this wait on: a quarter of the hung-task timeout, 30 s at most, 30 s without one.
[[nodiscard]] Nanoseconds throttle_patience(const Snapshot* snapshot);
// From this wait on there is no time for steps: half of the timeout.
[[nodiscard]] Nanoseconds throttle_patience_end(const Snapshot* snapshot);

// Whether one of them lies on or beneath the other, or both on one disk.
[[nodiscard]] bool share_a_device(const DeviceStack& stack, DeviceId a, DeviceId b);

class ThrottleChains {
 public:
  // Any of the three may be null.
  ThrottleChains(BootTime now,
                 const Snapshot* snapshot,
                 const Facts* facts,
                 const std::vector<Incident>* incidents,
                 const DeviceStack& stack);

  // The longest wait that this limit of io.max may be the cause of; none if nobody waits.
  //   A task of the VM in hard D for something that is not known to be no disk, or that holds the
  //   lock for which such a task waits: every io limit of the VM.
  //   A task of no VM that waits for a disk or a journal: every write limit.
  //   An io_stall: limits on that device, of that VM if it names one.
  // Waits that wake themselves are known by hung_task's incidents, which have their own clock.
  [[nodiscard]] bool empty() const {
    return of_vm_.empty() && of_writes_.empty() && of_all_.empty();
  }
  [[nodiscard]] std::optional<Nanoseconds> wait_behind(const LimitKey& key) const;

 private:
  struct Wait {
    std::optional<DeviceId> device;  // none: may be any
    Nanoseconds length{0};
  };

  void add_blocked_tasks(const Snapshot& snapshot, const Facts& facts);
  void add_hung_task(const Incident& incident, const Snapshot* snapshot);
  void add_io_stall(const Incident& incident);
  [[nodiscard]] bool touches(const Wait& wait, DeviceId device) const;

  BootTime now_;
  Nanoseconds patience_;
  const DeviceStack& stack_;
  std::map<VmId, std::vector<Wait>> of_vm_;
  std::vector<Wait> of_writes_;
  std::vector<Wait> of_all_;
};

}  // namespace hvguard
