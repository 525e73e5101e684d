// How many VMs may be under dynamic limits at once, and how many changes they may see in a minute.
// Pure. A wrong judgement must stay small: what is limited is a few VMs, and a rule that runs wild
// is stopped by the budget long before it has been everywhere (facts E (d)).
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <set>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "model/config.h"
#include "model/facts.h"
#include "model/limit.h"

namespace hvguard {

// A quarter of all VMs by default, rounded down, but always one.
[[nodiscard]] std::size_t max_limited_vms(const SafetyConfig& config, std::size_t vm_count);

// A VM that someone wants under a dynamic limit.
struct LimitedVmWish {
  VmId vm;
  bool by_people = false;  // an operator or the control plane, not a guard rule alone
};

// In the order in which they get a place: who has one keeps it, longest first; then what people
// want; then who reads and writes most; then by identity.
[[nodiscard]] std::vector<VmId> by_precedence(std::vector<LimitedVmWish> wishes,
                                              const std::map<VmId, BootTime>& limited_since,
                                              const Facts* facts);

// Changes of the last minute. One change is what one write does: all of io.max of a VM and device,
// or one other setting; so that a pair of limits is never half applied.
class ChangeBudget {
 public:
  // `made` are the earlier changes, oldest first; it must outlive the budget.
  ChangeBudget(const SafetyConfig& config, std::deque<BootTime>& made, BootTime now);

  // Whether this one may still be made now; takes its share if so. Asked again for the same change
  // in the same tick it says the same and takes nothing.
  [[nodiscard]] bool take(const LimitKey& key);

 private:
  std::deque<BootTime>& made_;
  BootTime now_;
  std::size_t most_;
  std::set<LimitKey> granted_;
};

}  // namespace hvguard
