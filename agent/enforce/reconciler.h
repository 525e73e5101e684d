// Reconciler: makes the limits that should hold those that do, and keeps it so. Level-triggered: it
// is told once per tick what should hold, in full, and works towards it; undo, retry and what a
// restart finds are the same path. Loop thread only; nothing waits.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <vector>

#include "enforce/vm_limits.h"
#include "model/limit.h"

namespace hvguard::enforce {

inline constexpr std::size_t kMaxOutcomes = 8192;
inline constexpr std::size_t kMaxLimitsPerVm = 64;

class Reconciler {
 public:
  // What the ports point to outlives it.
  explicit Reconciler(LimitPorts ports) : ports_(ports) {}

  // Those of dry run are left out. `targets`: all VMs that live; a VM that is not among them is
  // gone, and what is wanted of it has no effect.
  void reconcile(const DesiredLimits& desired,
                 const std::vector<LimitTarget>& targets,
                 const LimitOptions& options,
                 BootTime now);
  // From now on nothing is wanted; to be driven by reconcile() until idle().
  void release_all(BootTime now);
  // Goes on with what can be, between ticks.
  void drive(BootTime now);

  // Nothing is held, and nothing under way.
  [[nodiscard]] bool idle() const;
  // One for each setting that is wanted, held, or was given back within 5 s; by key.
  [[nodiscard]] std::vector<Outcome> outcomes() const;
  // Limits that were not taken: more than kMaxLimitsPerVm of one VM, or outcomes past the bound.
  [[nodiscard]] std::uint64_t dropped_count() const { return dropped_count_; }

 private:
  LimitPorts ports_;
  LimitOptions options_;
  std::map<VmId, std::shared_ptr<VmLimits>> vms_;
  bool releasing_ = false;
  mutable std::uint64_t dropped_count_ = 0;
};

}  // namespace hvguard::enforce
