// The guard rule of io_contention against made-up disks and users that do as they like.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include <gtest/gtest.h>
// rapidcheck's gtest.h needs gtest's before it.
#include <rapidcheck/gtest.h>

#include "decide/contention_rule.h"

namespace hvguard::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

VmId vm_number(int number) {
  return {.tgid = number, .start = {}, .cgroup = {}};
}

ReadRate arbitrary_rate() {
  return {.bytes = *rc::gen::inRange(0, 2000) * 1e6,
          .operations = static_cast<double>(*rc::gen::inRange(0, 50'000))};
}

ContentionRuleInput arbitrary_input(BootTime now) {
  ContentionRuleInput input;
  input.now = now;
  input.known = *rc::gen::weightedElement<bool>({{8, true}, {1, false}});
  input.max_limited_vms = 3;
  for (int i = 0; i < 8; ++i) {
    if (*rc::gen::weightedElement<bool>({{8, true}, {1, false}})) {
      input.vms.push_back(vm_number(i));
    }
  }
  for (std::uint32_t device = 0; device < 2; ++device) {
    DeviceTrouble trouble;
    trouble.device = {8, device};
    if (*rc::gen::weightedElement<bool>({{2, true}, {1, false}})) {
      trouble.worst_wait = milliseconds(*rc::gen::inRange(100, 2000));
    }
    for (int i = 0; i < 8; ++i) {
      trouble.users.push_back({.vm = vm_number(i),
                               .share = *rc::gen::inRange(0, 100) / 100.0,
                               .is_culprit = *rc::gen::arbitrary<bool>(),
                               .is_protected = i == 7,
                               .reads = arbitrary_rate()});
    }
    input.devices.push_back(trouble);
  }
  return input;
}

using Limits = std::map<std::pair<DeviceId, VmId>, ReadRate>;

// What the decisions alone would make of the limits that held before.
void apply(Limits& limits, const std::vector<RuleDecision>& decisions) {
  for (const RuleDecision& decision : decisions) {
    if (decision.step == RuleStep::kCut || decision.step == RuleStep::kRaised) {
      limits[{decision.device, decision.vm.value()}] = decision.rate;
    } else if (decision.step == RuleStep::kRemoved) {
      limits.erase({decision.device, decision.vm.value()});
    }
  }
}

RC_GTEST_PROP(ContentionRule, KeepsItsBoundsWhateverHappens, ()) {
  ContentionRuleState state;
  Limits by_decisions;
  BootTime now{seconds(1000)};
  for (int tick = 0; tick < 30; ++tick) {
    now = now + seconds(*rc::gen::inRange(1, 15));
    const ContentionRuleInput input = arbitrary_input(now);
    const Limits before = by_decisions;
    const auto output = answer_contention({}, state, input);
    apply(by_decisions, output.decisions);
    Limits limits;
    std::set<VmId> limited;
    for (const ReadLimit& limit : output.limits) {
      RC_ASSERT(limits.emplace(std::pair(limit.device, limit.vm), limit.rate).second);
      limited.insert(limit.vm);
      RC_ASSERT(limit.rate.bytes >= kLeastReadRate.bytes);
      RC_ASSERT(limit.rate.operations >= kLeastReadRate.operations);
      RC_ASSERT((std::isfinite(limit.rate.bytes) && std::isfinite(limit.rate.operations)));
      RC_ASSERT((limit.vm != vm_number(7)));  // protected
      RC_ASSERT(std::count(input.vms.begin(), input.vms.end(), limit.vm) == 1);
    }
    RC_ASSERT(limited.size() <= input.max_limited_vms);
    RC_ASSERT((limits == by_decisions));  // nothing changes without being said
    for (const auto& [key, rate] : limits) {
      const auto old = before.find(key);
      RC_ASSERT((old != before.end() || input.devices.at(key.first.minor)
                                            .users.at(static_cast<std::size_t>(key.second.tgid))
                                            .is_culprit));
      RC_ASSERT((input.known || (old != before.end() && old->second == rate)));
      const auto& trouble = input.devices.at(key.first.minor);
      // Nothing is tightened where nobody suffers, nothing loosened where somebody does.
      RC_ASSERT((trouble.worst_wait || (old != before.end() && rate.bytes >= old->second.bytes &&
                                        rate.operations >= old->second.operations)));
      RC_ASSERT((!trouble.worst_wait || old == before.end() ||
                 (rate.bytes <= old->second.bytes && rate.operations <= old->second.operations)));
    }
  }
}

RC_GTEST_PROP(ContentionRule, DoesNotDependOnTheOrderOfItsInput, ()) {
  ContentionRuleState first;
  ContentionRuleState second;
  BootTime now{seconds(1000)};
  for (int tick = 0; tick < 30; ++tick) {
    now = now + seconds(*rc::gen::inRange(1, 15));
    ContentionRuleInput input = arbitrary_input(now);
    const auto a = answer_contention({}, first, input);
    std::reverse(input.vms.begin(), input.vms.end());
    for (DeviceTrouble& trouble : input.devices) {
      std::reverse(trouble.users.begin(), trouble.users.end());
    }
    const auto b = answer_contention({}, second, input);
    RC_ASSERT(a.limits == b.limits);
    RC_ASSERT(a.decisions == b.decisions);
  }
}

// A disk that makes everybody wait as soon as more is read than it can give.
class Disk {
 public:
  Disk(int users, double capacity) : capacity_(capacity) {
    for (int i = 0; i < users; ++i) {
      demands_.push_back(capacity * *rc::gen::inRange(5, 30) / 10);
    }
  }
  // One second; whether the victims suffer in it.
  bool tick(bool demand) {
    now_ = now_ + seconds(1);
    ContentionRuleInput input;
    input.now = now_;
    input.known = true;
    input.max_limited_vms = demands_.size();
    DeviceTrouble trouble;
    trouble.device = {8, 0};
    double total = 0;
    for (std::size_t i = 0; i < demands_.size(); ++i) {
      const VmId vm = vm_number(static_cast<int>(i));
      input.vms.push_back(vm);
      double reads = demand ? demands_[i] : 0;
      for (const ReadLimit& limit : limits) {
        reads = limit.vm == vm ? std::min(reads, limit.rate.operations) : reads;
      }
      total += reads;
      trouble.users.push_back({.vm = vm,
                               .share = 0,
                               .is_culprit = true,
                               .is_protected = false,
                               .reads = {.bytes = reads * 64e3, .operations = reads}});
    }
    for (DeviceUser& user : trouble.users) {
      user.share = total > 0 ? user.reads.operations / total : 0;
    }
    const bool suffers = total > capacity_;
    if (suffers) {
      trouble.worst_wait = milliseconds(static_cast<std::int64_t>(100 * total / capacity_));
    }
    input.devices = {trouble};
    limits = answer_contention({}, state_, input).limits;
    return suffers;
  }
  std::vector<ReadLimit> limits;

 private:
  double capacity_;
  std::vector<double> demands_;
  BootTime now_{seconds(1000)};
  ContentionRuleState state_;
};

RC_GTEST_PROP(ContentionRule, EndsTheSufferingSoonAndGoesWithTheDemand, ()) {
  const int users = *rc::gen::inRange(1, 6);
  Disk disk(users, *rc::gen::inRange(4000, 40'000));  // well over what the floors let through
  int suffering = 0;
  int until_calm = 0;
  for (int second = 0; second < 300; ++second) {
    const bool suffers = disk.tick(true);
    suffering += suffers ? 1 : 0;
    if (suffers && suffering == second + 1) {
      ++until_calm;
    }
  }
  RC_ASSERT(until_calm <= 12);
  // Probing for more costs a few seconds in each minute, not more.
  RC_ASSERT(suffering <= until_calm + 75);
  for (int second = 0; second < 60; ++second) {
    disk.tick(false);
  }
  RC_ASSERT(disk.limits.empty());
}

}  // namespace
}  // namespace hvguard::test
