#include "decide/planner.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "decide/limit_words.h"
#include "detect/device_stack.h"

namespace hvguard {
namespace {

template <class T>
void append(std::vector<T>& all, std::vector<T> more) {
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

std::size_t most_limited(double ratio, std::size_t vm_count) {
  const double most = std::floor(ratio * static_cast<double>(vm_count));
  return std::max<std::size_t>(1, static_cast<std::size_t>(most));
}

// Disks that a VM uses, at the bottom of their stacks: there one limit holds whatever is above.
std::vector<LimitDevice> disks_of(const VmFacts& vm, const DeviceStack& stack) {
  std::vector<LimitDevice> disks;
  for (const VmDeviceFacts& device : vm.devices) {
    const DeviceReading* const reading = stack.find(device.device);
    if (reading != nullptr && reading->beneath.empty()) {
      disks.push_back({.id = reading->id, .name = reading->name});
    }
  }
  return disks;
}

// Facts are in the Snapshot's order, but need not have all of its VMs.
std::map<VmId, std::vector<LimitDevice>> all_disks(const Snapshot& snapshot, const Facts& facts) {
  const DeviceStack stack(snapshot.devices);
  std::map<VmId, std::vector<LimitDevice>> disks;
  for (const VmFacts& vm : facts.vms) {
    disks.emplace(vm.id, disks_of(vm, stack));
  }
  return disks;
}

const VmReading* find_vm(const Snapshot& snapshot, const VmId& id) {
  const auto at = std::find_if(
      snapshot.vms.begin(), snapshot.vms.end(), [&](const VmReading& vm) { return vm.id == id; });
  return at == snapshot.vms.end() ? nullptr : &*at;
}

}  // namespace

Plan Planner::step(const PlannerInput& input) {
  expire(admin_, context_of(input));
  if (mode() == LimitMode::kObserve) {
    wishes_ = {};
    contention_ = {};
    told_refusals_.clear();
  } else {
    wishes_ = wishes_of(input);
  }
  SafeLimits safe = make_safe(config_.safety, safety_, safety_input(input, wishes_));
  Plan plan{.mode = mode(),
            .limits = std::move(safe.limits),
            .decisions = std::exchange(wishes_.decisions, {})};
  append(plan.decisions, fold_decisions(std::move(safe.decisions)));
  return plan;
}

Plan Planner::sampler_late(BootTime now) {
  // Without a Snapshot nothing new is wanted: safety lets stand what holds, as long as it may.
  PlannerInput nothing;
  SafetyInput input = safety_input(nothing, wishes_);
  input.now = now;
  SafeLimits safe = make_safe(config_.safety, safety_, input);
  return {.mode = mode(), .limits = std::move(safe.limits), .decisions = std::move(safe.decisions)};
}

Result<AdminAnswer> Planner::request(const AdminRequest& request, const PlannerInput& input) {
  if (const AdminAnswer* const before = answered_before(admin_, request)) {
    return *before;
  }
  auto answer = judge_request(admin_, context_of(input), request);
  if (!answer) {
    return answer;
  }
  if (std::holds_alternative<SetLimitAction>(request.action)) {
    if (auto safe = check_safe(answer->limits.front(), input); !safe) {
      return fail(std::move(safe).error());
    } else {
      answer->limits.front() = *std::move(safe);
    }
  }
  if (!request.validate_only) {
    apply_request(admin_, request, *answer);
  }
  return answer;
}

// What the rules of safety would make of it, were it wanted in the last tick.
Result<Limit> Planner::check_safe(const Limit& limit, const PlannerInput& input) const {
  const auto policy = classify(config_, mode(), *find_vm(*input.snapshot, limit.key.vm));
  if (policy.mode == LimitMode::kObserve) {
    return fail(Errc::kDenied,
                policy.class_name.empty() || mode() == LimitMode::kObserve
                    ? "this host only observes: `hvguardctl mode enforce` (or dry_run), or "
                      "policy.mode in hvguard.toml, lets limits be set"
                    : fmt::format("VMs of class {} are only observed: see its mode in hvguard.toml",
                                  policy.class_name));
  }
  Limit wanted = limit;
  wanted.dry_run = policy.mode == LimitMode::kDryRun;
  Wishes wishes = wishes_;
  wishes.limits.push_back(wanted);
  SafetyState trial = safety_;
  trial.refused.clear();  // what was refused before is refused in words again
  const SafeLimits safe = make_safe(config_.safety, trial, safety_input(input, wishes));
  for (const Decision& decision : safe.decisions) {
    const bool same_device = !is_per_device(limit.key.kind) || decision.device == limit.key.device;
    if (decision.step == DecisionStep::kRefused && decision.vm == limit.key.vm &&
        decision.kind == limit.key.kind && same_device) {
      return fail(Errc::kDenied, decision.reason);
    }
  }
  const auto at = std::find_if(safe.limits.begin(), safe.limits.end(), [&](const Limit& one) {
    return one.key == limit.key;
  });
  if (at == safe.limits.end()) {
    return fail(Errc::kDenied, "the rules of safety do not let it hold now");
  }
  return *at;
}

SafetyInput Planner::safety_input(const PlannerInput& input, const Wishes& wishes) const {
  SafetyInput safety;
  safety.now = input.snapshot == nullptr ? BootTime() : input.snapshot->boot_time;
  safety.wanted = wishes.limits;
  safety.snapshot = input.snapshot;
  safety.facts = input.facts;
  safety.incidents = input.incidents;
  safety.protected_vms = wishes.protected_vms;
  safety.vms_in_protected_units = wishes.vms_in_protected_units;
  safety.stopping_vms = wishes.stopping_vms;
  safety.own_cgroup_path = own_.cgroup_path;
  safety.own_unit = own_.unit;
  return safety;
}

AdminContext Planner::context_of(const PlannerInput& input) const {
  return {.now = input.snapshot == nullptr ? BootTime() : input.snapshot->boot_time,
          .policy = &config_,
          .snapshot = input.snapshot,
          .incidents = input.incidents};
}

Planner::Wishes Planner::wishes_of(const PlannerInput& input) {
  const Snapshot& snapshot = *input.snapshot;
  const auto disks = all_disks(snapshot, *input.facts);
  std::map<VmId, VmPolicy> policies;
  Wishes wishes;
  std::set<RefusalKey> refusals;
  for (const VmReading& vm : snapshot.vms) {
    const VmPolicy policy = classify(config_, mode(), vm);
    if (policy.is_protected) {
      wishes.protected_vms.insert(vm.id);
    }
    if (policy.in_protected_unit) {
      wishes.vms_in_protected_units.insert(vm.id);
    }
    if (vm.stop_signal_time) {
      wishes.stopping_vms.insert(vm.id);
      continue;
    }
    policies.emplace(vm.id, policy);
    const auto used = disks.find(vm.id);
    Baselines wanted = baselines(config_,
                                 mode(),
                                 vm,
                                 used == disks.end() ? std::vector<LimitDevice>() : used->second,
                                 snapshot.boot_time);
    append(wishes.limits, std::move(wanted.limits));
    for (Decision& refusal : wanted.refusals) {
      const RefusalKey key(vm.id, refusal.kind, refusal.device);
      refusals.insert(key);
      if (!told_refusals_.contains(key)) {
        wishes.decisions.push_back(std::move(refusal));
      }
    }
  }
  told_refusals_ = std::move(refusals);

  GuardWishes guard = guard_contention(
      contention_,
      {.snapshot = &snapshot,
       .facts = input.facts,
       .incidents = input.incidents,
       .contentions = input.contentions,
       .policies = &policies,
       .max_limited_vms = most_limited(config_.safety.max_limited_vm_ratio, snapshot.vms.size()),
       .lease = config_.safety.lease});
  append(wishes.limits, std::move(guard.limits));
  append(wishes.decisions, std::move(guard.decisions));

  for (const auto& [key, limit] : admin_.limits) {
    const auto policy = policies.find(key.vm);
    if (policy != policies.end() && policy->second.mode != LimitMode::kObserve) {
      wishes.limits.push_back(limit);
      wishes.limits.back().dry_run = policy->second.mode == LimitMode::kDryRun;
    }
  }
  return wishes;
}
}  // namespace hvguard
