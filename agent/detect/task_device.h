// Which block device a task that waits for IO waits for, where that can be known. Pure; built once
// per tick.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/ids.h"
#include "detect/blocked_tasks.h"
#include "detect/device_stack.h"
#include "detect/stalled_devices.h"
#include "model/snapshot.h"

namespace hvguard {

struct TaskDevice {
  std::optional<DeviceId> device;
  bool suspended = false;  // it is a suspended dm device: that is why nothing moves
};

class TaskDevices {
 public:
  TaskDevices(const Snapshot& snapshot,
              const std::vector<TrackedTask>& tasks,
              const std::vector<StalledIo>& stalled);

  // In this order: the device in a kernel thread's name ("jbd2/dm-3-8", "xfsaild/sda1"), or in a
  // kworker's description ("flush-253:0"); for a journal's waiter the device of the only journal
  // thread that is blocked; the only device of the task's VM on which nothing completes; the only
  // suspended dm device above disks that its VM has used; the only stalled device of the host; the
  // only suspended one. A named device is followed down to the one beneath it that is stuck.
  [[nodiscard]] TaskDevice device_of(const TrackedTask& task) const;

 private:
  [[nodiscard]] std::optional<DeviceId> named_device(const BlockedTask& task) const;
  [[nodiscard]] TaskDevice settled(DeviceId device) const;
  [[nodiscard]] std::optional<DeviceId> suspended_of_vm(const VmId& vm) const;
  [[nodiscard]] std::optional<DeviceId> only_lowest(const std::set<DeviceId>& devices) const;

  DeviceStack stack_;
  std::set<DeviceId> stalled_;  // nothing completes there, for anyone
  std::map<VmId, std::set<DeviceId>> stalled_of_vm_;
  std::map<VmId, std::set<DeviceId>> used_by_vm_;  // only filled while something is suspended
  std::set<DeviceId> suspended_;
  std::set<DeviceId> blocked_journals_;
};

}  // namespace hvguard
