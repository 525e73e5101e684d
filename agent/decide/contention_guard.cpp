#include "decide/contention_guard.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "detect/device_stack.h"

namespace hvguard {
namespace {

using Place = std::pair<DeviceId, VmId>;

const VmFacts* facts_of(const Facts& facts, const VmId& vm) {
  const auto at = std::find_if(
      facts.vms.begin(), facts.vms.end(), [&](const VmFacts& one) { return one.id == vm; });
  return at == facts.vms.end() ? nullptr : &*at;
}

ReadRate reads_of(const Facts& facts, const VmId& vm, DeviceId device) {
  const VmFacts* const all = facts_of(facts, vm);
  if (all == nullptr) {
    return {};
  }
  for (const VmDeviceFacts& one : all->devices) {
    if (one.device == device) {
      return {.bytes = one.read.bytes_per_second.value_or(0),
              .operations = one.read.operations_per_second.value_or(0)};
    }
  }
  return {};
}

std::string name_of(const Snapshot& snapshot, const VmId& vm) {
  const auto at = std::find_if(
      snapshot.vms.begin(), snapshot.vms.end(), [&](const VmReading& one) { return one.id == vm; });
  return at == snapshot.vms.end() ? to_string(vm) : at->identity.name;
}

const Incident* open_on(const std::vector<Incident>& incidents, DeviceId device) {
  const auto at = std::find_if(incidents.begin(), incidents.end(), [&](const Incident& incident) {
    return incident.kind == IncidentKind::kIoContention && incident.state == IncidentState::kOpen &&
           incident.subject.device == device;
  });
  return at == incidents.end() ? nullptr : &*at;
}

std::string written(const ReadRate& rate) {
  return fmt::format("{}/s and {:.0f} reads/s",
                     format_bytes(static_cast<std::uint64_t>(rate.bytes)),
                     rate.operations);
}

// One tick.
class Guard {
 public:
  Guard(ContentionGuardState& state, const ContentionGuardInput& input)
      : state_(state),
        input_(input),
        now_(input.snapshot->boot_time),
        devices_(input.snapshot->devices) {}

  GuardWishes run() && {
    renew_and_expire();
    const ContentionRuleOutput output = answer_contention({}, state_.rule, rule_input());
    for (const RuleDecision& decision : output.decisions) {
      take(decision);
    }
    std::erase_if(state_.told, [&](const auto& entry) { return !holds(entry.first); });
    for (const ReadLimit& limit : output.limits) {
      wish(limit);
    }
    return std::move(wishes_);
  }

 private:
  // While the incident is open the lease begins anew with each tick.
  void renew_and_expire() {
    for (auto& [place, told] : state_.told) {
      if (input_.contentions != nullptr && open_on(*input_.incidents, place.first) != nullptr) {
        told.expire_time = now_ + input_.lease;
      } else if (now_ >= told.expire_time) {
        state_.rule.devices[place.first].vms.erase(place.second);
      }
    }
    std::erase_if(state_.told, [&](const auto& entry) { return !holds(entry.first); });
  }

  [[nodiscard]] bool holds(const Place& place) const {
    const auto at = state_.rule.devices.find(place.first);
    return at != state_.rule.devices.end() && at->second.vms.contains(place.second);
  }

  [[nodiscard]] ContentionRuleInput rule_input() const {
    ContentionRuleInput input{.now = now_,
                              .known = input_.contentions != nullptr,
                              .devices = {},
                              .vms = {},
                              .max_limited_vms = input_.max_limited_vms};
    for (const auto& [vm, policy] : *input_.policies) {
      input.vms.push_back(vm);
    }
    if (!input.known) {
      return input;
    }
    std::set<DeviceId> contended;
    for (const Contention& contention : *input_.contentions) {
      contended.insert(contention.use.device);
      input.devices.push_back(trouble_of(contention));
    }
    // Where limits hold the rule must see what their VMs do, in calm times too.
    for (const auto& [id, device] : state_.rule.devices) {
      if (!contended.contains(id)) {
        DeviceTrouble quiet{.device = id, .worst_wait = std::nullopt, .users = {}};
        add_limited(quiet);
        input.devices.push_back(std::move(quiet));
      }
    }
    return input;
  }

  [[nodiscard]] DeviceTrouble trouble_of(const Contention& contention) const {
    DeviceTrouble trouble{
        .device = contention.use.device, .worst_wait = contention.worst_wait, .users = {}};
    for (const IoParty& party : contention.use.parties) {
      if (party.vm) {
        DeviceUser user = user_of(*party.vm, trouble.device);
        user.share = party.share;
        user.is_culprit =
            std::find(contention.culprits.begin(), contention.culprits.end(), *party.vm) !=
            contention.culprits.end();
        trouble.users.push_back(user);
      }
    }
    add_limited(trouble);
    return trouble;
  }

  void add_limited(DeviceTrouble& trouble) const {
    const auto at = state_.rule.devices.find(trouble.device);
    if (at == state_.rule.devices.end()) {
      return;
    }
    for (const auto& [vm, limited] : at->second.vms) {
      const bool known = std::any_of(trouble.users.begin(),
                                     trouble.users.end(),
                                     [&](const DeviceUser& user) { return user.vm == vm; });
      if (!known) {
        trouble.users.push_back(user_of(vm, trouble.device));
      }
    }
  }

  [[nodiscard]] DeviceUser user_of(const VmId& vm, DeviceId device) const {
    const auto policy = input_.policies->find(vm);
    const bool known = policy != input_.policies->end();
    return {.vm = vm,
            .share = 0,
            .is_culprit = false,
            .is_protected =
                !known || policy->second.is_protected || policy->second.mode == LimitMode::kObserve,
            .is_dry_run = known && policy->second.mode == LimitMode::kDryRun,
            .reads = reads_of(*input_.facts, vm, device)};
  }

  void take(const RuleDecision& decision) {
    const Incident* const incident = open_on(*input_.incidents, decision.device);
    const std::string incident_id = incident == nullptr ? "" : incident->id;
    const std::string device = devices_.name_of(decision.device);
    switch (decision.step) {
      case RuleStep::kCut:
        tell(decision, incident_id, cut_reason(decision, device));
        break;
      case RuleStep::kRaised:
        tell(decision,
             "",
             fmt::format(
                 "nobody waits on {} any more: reads may be {}", device, written(decision.rate)));
        break;
      case RuleStep::kRemoved:
        break;  // the limit is gone: whoever compares ticks says so
      case RuleStep::kIneffective:
        decide(DecisionStep::kIneffective,
               decision.device,
               incident_id,
               fmt::format("limits on {} are taken back, since nobody waits less for them: what "
                           "holds it up is not what they hold back. Move VMs away from this host, "
                           "or look at the disk.",
                           device));
        break;
      case RuleStep::kNoLever:
        decide(DecisionStep::kNoLever,
               decision.device,
               incident_id,
               fmt::format("nothing on {} can be limited: whoever takes its time writes, is "
                           "protected, is the host itself, or hardly reads. Move VMs away from "
                           "this host, or look at what takes the time.",
                           device));
        break;
    }
  }

  [[nodiscard]] std::string cut_reason(const RuleDecision& decision,
                                       const std::string& device) const {
    for (const Contention& contention : *input_.contentions) {
      for (const IoParty& party : contention.use.parties) {
        if (contention.use.device == decision.device && party.vm == decision.vm) {
          return fmt::format(
              "others wait up to {} on {}, and {} takes {:.0f} % of its time with {}: "
              "reads are cut to {}",
              format_duration(contention.worst_wait.value_or(Nanoseconds(0))),
              device,
              name_of(*input_.snapshot, *decision.vm),
              party.share * 100,
              written(reads_of(*input_.facts, *decision.vm, decision.device)),
              written(decision.rate));
        }
      }
    }
    return fmt::format("others wait on {}: reads are cut to {}", device, written(decision.rate));
  }

  void tell(const RuleDecision& decision, const std::string& incident_id, std::string reason) {
    auto& told = state_.told[{decision.device, *decision.vm}];
    if (!incident_id.empty()) {
      told.incident_id = incident_id;
      told.expire_time = now_ + input_.lease;
    }
    told.reason = std::move(reason);
    told.dry_run = user_of(*decision.vm, decision.device).is_dry_run;
  }

  void decide(DecisionStep step,
              DeviceId device,
              const std::string& incident_id,
              std::string reason) {
    Decision decision;
    decision.step = step;
    decision.time = now_;
    decision.device = device;
    decision.reason = std::move(reason);
    decision.incident_id = incident_id;
    wishes_.decisions.push_back(std::move(decision));
  }

  void wish(const ReadLimit& limit) {
    const auto& told = state_.told[{limit.device, limit.vm}];
    const auto add = [&](LimitKind kind, double value) {
      wishes_.limits.push_back({.key = {.vm = limit.vm, .kind = kind, .device = limit.device},
                                .value = static_cast<std::uint64_t>(std::llround(value)),
                                .origin = LimitOrigin::kGuardRule,
                                .dry_run = told.dry_run,
                                .reason = told.reason,
                                .incident_id = told.incident_id,
                                .expire_time = told.expire_time});
    };
    add(LimitKind::kReadBytes, limit.rate.bytes);
    add(LimitKind::kReadOperations, limit.rate.operations);
  }

  ContentionGuardState& state_;
  const ContentionGuardInput& input_;
  BootTime now_;
  DeviceStack devices_;
  GuardWishes wishes_;
};

}  // namespace

GuardWishes guard_contention(ContentionGuardState& state, const ContentionGuardInput& input) {
  return Guard(state, input).run();
}

}  // namespace hvguard
