// The planner: which limits should hold now, and why. Pure; owned by the Pipeline, loop thread
// only.
//
//   baselines of the VMs' classes ┐
//   guard rules' answers          ├→ safety rules → limits, and what changed, as Decisions
//   what people asked for         ┘
//
// In mode observe it wants nothing. What a class may do is never more than what the host may.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/result.h"
#include "decide/admin_requests.h"
#include "decide/contention_guard.h"
#include "decide/policy.h"
#include "decide/safety.h"
#include "detect/io_contention.h"
#include "model/admin_request.h"
#include "model/config.h"
#include "model/facts.h"
#include "model/incident.h"
#include "model/limit.h"
#include "model/snapshot.h"

namespace hvguard {

struct PlannerInput {
  const Snapshot* snapshot = nullptr;
  const Facts* facts = nullptr;
  const std::vector<Incident>* incidents = nullptr;
  const std::vector<Contention>* contentions = nullptr;  // null: not known in this tick
  const std::vector<Outcome>* outcomes = nullptr;
};

// Where hvguardd itself lives: no VM is ever limited there. Empty: not known.
struct OwnPlace {
  std::string cgroup_path;  // "/system.slice/hvguardd.service"
  std::string unit;         // "hvguardd.service"
};

struct Plan {
  LimitMode mode = LimitMode::kObserve;
  DesiredLimits limits;
  std::vector<Decision> decisions;
};

class Planner {
 public:
  Planner(const PolicyConfig& config, OwnPlace own) : config_(config), own_(std::move(own)) {}

  void set_config(const PolicyConfig& config) { config_ = config; }

  [[nodiscard]] Plan step(const PlannerInput& input);

  // While there are no readings: nothing new, and what is leased ends with its lease.
  [[nodiscard]] Plan sampler_late(BootTime now);

  // Judges a request against this host's policy and the rules of safety, and unless it only asks
  // (validate_only) does it: what it wants holds from the next tick. `input` as of the last tick,
  // its snapshot null before the first one.
  [[nodiscard]] Result<AdminAnswer> request(const AdminRequest& request, const PlannerInput& input);

  [[nodiscard]] const AdminState& admin() const { return admin_; }

 private:
  // What a tick wants, before safety has spoken.
  struct Wishes {
    std::vector<Limit> limits;
    std::vector<Decision> decisions;
    std::set<VmId> protected_vms;
    std::set<VmId> vms_in_protected_units;
    std::set<VmId> stopping_vms;
  };
  using RefusalKey = std::tuple<VmId, std::optional<LimitKind>, std::optional<DeviceId>>;

  [[nodiscard]] LimitMode mode() const { return host_mode(config_, admin_.mode); }
  [[nodiscard]] Wishes wishes_of(const PlannerInput& input);
  [[nodiscard]] SafetyInput safety_input(const PlannerInput& input, const Wishes& wishes) const;
  [[nodiscard]] AdminContext context_of(const PlannerInput& input) const;
  [[nodiscard]] Result<Limit> check_safe(const Limit& limit, const PlannerInput& input) const;

  PolicyConfig config_;
  OwnPlace own_;
  AdminState admin_;
  ContentionGuardState contention_;
  SafetyState safety_;
  Wishes wishes_;                       // of the last tick
  std::set<RefusalKey> told_refusals_;  // of baselines, while they last
};

}  // namespace hvguard
