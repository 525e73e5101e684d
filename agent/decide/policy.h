// policy: which class a VM belongs to, and the limits that class gives it for life (baselines).
// Pure; called by decide/planner for each VM in each tick. It says what the configuration wants;
// decide/safety has the last word on every Limit.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "model/config.h"
#include "model/limit.h"
#include "model/vm.h"

namespace hvguard {

// Mode of the host: as configured, unless SetMode asked for another one.
[[nodiscard]] LimitMode host_mode(const PolicyConfig& policy, std::optional<LimitMode> asked);

struct VmPolicy {
  std::string class_name;                // empty: no class fits
  LimitMode mode = LimitMode::kObserve;  // the lesser of the host's and the class's
  bool is_protected = false;             // by its class, its name or its unit
  bool in_protected_unit = false;
};

// `host` is what host_mode() gave.
[[nodiscard]] VmPolicy classify(const PolicyConfig& policy, LimitMode host, const VmReading& vm);

// A whole disk that the VM uses and may be limited on.
struct LimitDevice {
  DeviceId id;
  std::string name;  // "nvme0n1"
};

struct Baselines {
  std::vector<Limit> limits;  // sorted by key; each names class and configuration in its reason
  std::vector<Decision> refusals;  // kRefused: configured and not wanted, and why; in each tick
};

// Nothing in mode observe, and nothing for a VM without class. A protected VM gets what cannot hold
// it back: weights and memory.low. Values of memory are multiples of 64 KiB, upwards: the largest
// page of any kernel we run on, so that what is read back is what was written.
//
// Stateless, and yet it never begins to hold a VM below what it uses: memory.high, memory.max and
// pids.max that are not yet in the cgroup wait until the VM uses less (memory.high would make PID 1
// reclaim, memory.max would kill, facts: kernel Documentation/admin-guide/cgroup-v2.rst).
[[nodiscard]] Baselines baselines(const PolicyConfig& policy,
                                  LimitMode host,
                                  const VmReading& vm,
                                  const std::vector<LimitDevice>& devices,
                                  BootTime now);

}  // namespace hvguard
