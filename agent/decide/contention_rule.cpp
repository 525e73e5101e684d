#include "decide/contention_rule.h"

#include <algorithm>
#include <set>

namespace hvguard {
namespace {

bool is_less_in_both(const ReadRate& a, const ReadRate& b) {
  return a.bytes < b.bytes && a.operations < b.operations;
}

ReadRate scaled(const ReadRate& rate, double factor) {
  return {.bytes = rate.bytes * factor, .operations = rate.operations * factor};
}

ReadRate least_of(const ReadRate& a, const ReadRate& b) {
  return {.bytes = std::min(a.bytes, b.bytes), .operations = std::min(a.operations, b.operations)};
}

ReadRate most_of(const ReadRate& a, const ReadRate& b) {
  return {.bytes = std::max(a.bytes, b.bytes), .operations = std::max(a.operations, b.operations)};
}

// One tick of the rule.
class Rule {
 public:
  Rule(const ContentionRuleConfig& config,
       ContentionRuleState& state,
       const ContentionRuleInput& input)
      : config_(config), state_(state), input_(input), living_(input.vms.begin(), input.vms.end()) {
    for (const auto& [id, device] : state.devices) {
      for (const auto& [vm, limited] : device.vms) {
        limited_.insert(vm);
      }
    }
  }

  void forget_the_gone() {
    for (auto& [id, device] : state_.devices) {
      for (auto at = device.vms.begin(); at != device.vms.end();) {
        at = living_.contains(at->first) ? std::next(at) : remove(id, device, at);
      }
    }
  }

  void answer(const DeviceTrouble& trouble) {
    LimitedDevice& device = state_.devices[trouble.device];
    remove_unused(trouble, device);
    if (trouble.worst_wait) {
      forget_calm(device);
      suffer(trouble, device);
    } else {
      relax(trouble.device, device);
    }
  }

  void unknown_is_not_calm() {
    for (auto& [id, device] : state_.devices) {
      forget_calm(device);
    }
  }

  ContentionRuleOutput take() && {
    for (const auto& [id, device] : state_.devices) {
      for (const auto& [vm, limited] : device.vms) {
        output_.limits.push_back({.vm = vm, .device = id, .rate = limited.limit});
      }
    }
    return std::move(output_);
  }

 private:
  using Place = std::map<VmId, LimitedVm>::iterator;

  void say(RuleStep step, DeviceId device, std::optional<VmId> vm, const ReadRate& rate = {}) {
    output_.decisions.push_back({.step = step, .device = device, .vm = vm, .rate = rate});
  }

  Place remove(DeviceId id, LimitedDevice& device, Place at) {
    say(RuleStep::kRemoved, id, at->first);
    return device.vms.erase(at);
  }

  // ---- while someone suffers

  void suffer(const DeviceTrouble& trouble, LimitedDevice& device) {
    if (device.leave_alone_until && input_.now < *device.leave_alone_until) {
      return;
    }
    device.leave_alone_until.reset();
    if (device.judge_at && input_.now < *device.judge_at) {
      return;
    }
    if (device.judge_at && has_real_limit(device)) {
      const bool better = *trouble.worst_wait < device.wait_at_cut;
      device.fruitless_cuts = better ? 0 : device.fruitless_cuts + 1;
      if (device.fruitless_cuts >= config_.ineffective_after) {
        give_up(trouble.device, device);
        return;
      }
    }
    const bool any_cut = cut_all(trouble, device);
    if (any_cut || !device.vms.empty()) {  // at the floors, too, time shows whether it helps
      device.judge_at = input_.now + config_.settle;
      device.wait_at_cut = *trouble.worst_wait;
    } else if (!device.said_no_lever) {
      say(RuleStep::kNoLever, trouble.device, std::nullopt);
      device.said_no_lever = true;
    }
  }

  static void forget_calm(LimitedDevice& device) {
    for (auto& [vm, limited] : device.vms) {
      limited.calm_since.reset();
    }
  }

  static bool has_real_limit(const LimitedDevice& device) {
    return std::any_of(device.vms.begin(), device.vms.end(), [](const auto& entry) {
      return !entry.second.is_dry_run;
    });
  }

  bool cut_all(const DeviceTrouble& trouble, LimitedDevice& device) {
    std::vector<const DeviceUser*> culprits;
    for (const DeviceUser& user : trouble.users) {
      if (user.is_culprit && !user.is_protected && living_.contains(user.vm)) {
        culprits.push_back(&user);
      }
    }
    std::sort(culprits.begin(), culprits.end(), [](const auto* a, const auto* b) {
      return a->share != b->share ? a->share > b->share : a->vm < b->vm;
    });
    bool any = false;
    for (const DeviceUser* const culprit : culprits) {
      any = cut(trouble.device, device, *culprit) || any;
    }
    return any;
  }

  bool cut(DeviceId id, LimitedDevice& device, const DeviceUser& user) {
    const auto at = device.vms.find(user.vm);
    const bool only_said = at != device.vms.end() && at->second.is_dry_run;
    if (only_said && user.is_dry_run) {
      return false;
    }
    const bool is_new = at == device.vms.end() || only_said;
    const ReadRate now = is_new ? user.reads : least_of(user.reads, at->second.limit);
    const bool takes_back = !is_new && at->second.raised;
    const double ratio = takes_back ? config_.back_ratio : config_.cut_ratio;
    const ReadRate limit = most_of(scaled(now, ratio), kLeastReadRate);
    if (!(limit.bytes < now.bytes) && !(limit.operations < now.operations)) {
      return false;  // it hardly reads, or not more than it always may
    }
    if (!limited_.contains(user.vm) && limited_.size() >= input_.max_limited_vms) {
      return false;
    }
    limited_.insert(user.vm);
    LimitedVm& limited = device.vms[user.vm];
    limited.limit = limit;
    limited.too_much = now;
    limited.raised = false;
    limited.taken_back_count += takes_back ? 1 : 0;
    if (is_new) {
      limited.before = most_of(user.reads, kLeastReadRate);
    }
    limited.is_dry_run = user.is_dry_run;
    limited.unused_since.reset();
    say(RuleStep::kCut, id, user.vm, limited.limit);
    return true;
  }

  void give_up(DeviceId id, LimitedDevice& device) {
    for (auto at = device.vms.begin(); at != device.vms.end();) {
      at = remove(id, device, at);
    }
    device = {};
    device.leave_alone_until = input_.now + config_.back_off;
    say(RuleStep::kIneffective, id, std::nullopt);
  }

  // ---- once it is calm

  void relax(DeviceId id, LimitedDevice& device) {
    device.judge_at.reset();
    device.fruitless_cuts = 0;
    device.said_no_lever = false;
    for (auto at = device.vms.begin(); at != device.vms.end();) {
      LimitedVm& limited = at->second;
      if (!limited.calm_since) {
        limited.calm_since = input_.now;
      }
      const bool far_from_trouble =
          is_less_in_both(limited.limit, scaled(limited.too_much, config_.back_ratio));
      if (input_.now - *limited.calm_since <
          (far_from_trouble ? config_.quick_calm_for : careful_calm_for(limited))) {
        ++at;
        continue;
      }
      limited.calm_since = input_.now;
      limited.raised = true;
      limited.limit.bytes += config_.raise_ratio * limited.too_much.bytes;
      limited.limit.operations += config_.raise_ratio * limited.too_much.operations;
      if (is_less_in_both(limited.before, limited.limit)) {
        at = remove(id, device, at);
      } else {
        say(RuleStep::kRaised, id, at->first, limited.limit);
        ++at;
      }
    }
  }

  // Doubled with each raise that was too much, up to eightfold.
  [[nodiscard]] Nanoseconds careful_calm_for(const LimitedVm& limited) const {
    return config_.calm_for * (1 << std::min(limited.taken_back_count, 3U));
  }

  void remove_unused(const DeviceTrouble& trouble, LimitedDevice& device) {
    for (auto at = device.vms.begin(); at != device.vms.end();) {
      const auto user = std::find_if(trouble.users.begin(),
                                     trouble.users.end(),
                                     [&](const DeviceUser& one) { return one.vm == at->first; });
      const ReadRate reads = user == trouble.users.end() ? ReadRate{} : user->reads;
      LimitedVm& limited = at->second;
      if (!is_less_in_both(reads, scaled(limited.limit, config_.unused_ratio))) {
        limited.unused_since.reset();
      } else if (!limited.unused_since) {
        limited.unused_since = input_.now;
      }
      const bool unused =
          limited.unused_since && input_.now - *limited.unused_since >= config_.unused_for;
      at = unused ? remove(trouble.device, device, at) : std::next(at);
    }
  }

  const ContentionRuleConfig& config_;
  ContentionRuleState& state_;
  const ContentionRuleInput& input_;
  std::set<VmId> living_;
  std::set<VmId> limited_;
  ContentionRuleOutput output_;
};

}  // namespace

ContentionRuleOutput answer_contention(const ContentionRuleConfig& config,
                                       ContentionRuleState& state,
                                       const ContentionRuleInput& input) {
  Rule rule(config, state, input);
  rule.forget_the_gone();
  if (!input.known) {
    rule.unknown_is_not_calm();
    return std::move(rule).take();
  }
  std::set<DeviceId> told;
  for (const DeviceTrouble& trouble : input.devices) {
    if (told.insert(trouble.device).second) {
      rule.answer(trouble);
    }
  }
  for (const auto& [id, device] : state.devices) {
    if (!told.contains(id)) {
      rule.answer({.device = id, .worst_wait = std::nullopt, .users = {}});
    }
  }
  std::erase_if(state.devices, [&](const auto& entry) {
    const LimitedDevice& device = entry.second;
    return device.vms.empty() && !device.judge_at && !device.said_no_lever &&
           !(device.leave_alone_until && input.now < *device.leave_alone_until);
  });
  return std::move(rule).take();
}

}  // namespace hvguard
