// The port by which limits reach a VM: today systemd (D-Bus) and cgroupfs, later QEMU's own
// throttle, whose callers need no change for it. Loop thread only; nothing here waits: what was
// begun is answered by a call, once, now or later, in any order.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/time.h"
#include "enforce/limit_files.h"
#include "enforce/limits_protocol.h"
#include "model/vm.h"

namespace hvguard::enforce {

inline constexpr Nanoseconds kLeverDeadline = std::chrono::seconds(2);

// Where a VM's limits are set.
struct LimitTarget {
  VmId vm;
  std::string unit;         // of PID 1, which holds the VM alone; empty: its cgroup is not a unit's
  std::string cgroup_path;  // of the unit, or of the VM: "/a/b" below the mount
  CgroupId cgroup;          // of that very directory
  bool libvirt = false;     // libvirt sets CPUWeight and IOWeight of this scope itself
  bool no_io_controller = false;

  bool operator==(const LimitTarget&) const = default;
};

[[nodiscard]] LimitTarget target_of(const VmReading& vm);

struct LeverTask {
  LimitTarget target;
  std::vector<Setting> changes;      // at most kMaxSettings
  std::vector<DeviceLimits> io_max;  // what the file had when it was last read
};

using OnDone = std::function<void(Result<>)>;
using OnRead = std::function<void(Result<LimitsAnswer>)>;

class Lever {
 public:
  virtual ~Lever() = default;
  [[nodiscard]] virtual LeverKind kind() const = 0;
  // Success says that it was taken, not that it holds: the kernel is read for that. kUnavailable,
  // kTimeout: nobody answers; the change may still come.
  virtual void apply(LeverTask task, BootTime now, OnDone done) = 0;
  // Turns the io controller on for the VM's cgroup, which makes io.max and right counts possible.
  virtual void arm_io(const LimitTarget& target, BootTime now, OnDone done) = 0;
};

// What the kernel has.
class SettingReader {
 public:
  virtual ~SettingReader() = default;
  virtual void read(const LimitTarget& target,
                    const std::vector<SettingKey>& keys,
                    BootTime now,
                    OnRead done) = 0;
};

}  // namespace hvguard::enforce
