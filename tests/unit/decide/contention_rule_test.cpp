#include "decide/contention_rule.h"

#include <gtest/gtest.h>

namespace hvguard {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const DeviceId kDisk{8, 0};
constexpr ReadRate kFast{.bytes = 400e6, .operations = 4000};

VmId vm_number(Pid number) {
  return {.tgid = number, .start = {}, .cgroup = {}};
}

// Each test says in words what the disk and its users do; tick() asks the rule once a second.
class Rule {
 public:
  ContentionRuleConfig config;
  ContentionRuleState state;
  ContentionRuleInput input;
  ContentionRuleOutput last;

  Rule() {
    input.now = {seconds(1000)};
    input.known = true;
    input.max_limited_vms = 8;
    input.devices.push_back({.device = kDisk, .worst_wait = std::nullopt, .users = {}});
  }
  DeviceTrouble& disk() { return input.devices.at(0); }
  DeviceUser& add(Pid number, double share, const ReadRate& reads = kFast) {
    input.vms.push_back(vm_number(number));
    disk().users.push_back({.vm = vm_number(number),
                            .share = share,
                            .is_culprit = true,
                            .is_protected = false,
                            .reads = reads});
    return disk().users.back();
  }
  void suffer(Nanoseconds wait) { disk().worst_wait = wait; }
  void calm() { disk().worst_wait.reset(); }
  // All do what their limits let them do; the first one asks for that much.
  void follow_limits(const ReadRate& demand) {
    for (DeviceUser& user : disk().users) {
      user.reads = demand;
      for (const ReadLimit& limit : last.limits) {
        if (limit.vm == user.vm) {
          user.reads.bytes = std::min(demand.bytes, limit.rate.bytes);
          user.reads.operations = std::min(demand.operations, limit.rate.operations);
        }
      }
    }
  }
  std::vector<RuleDecision> tick(int count = 1) {
    std::vector<RuleDecision> decisions;
    for (int i = 0; i < count; ++i) {
      input.now = input.now + seconds(1);
      last = answer_contention(config, state, input);
      decisions.insert(decisions.end(), last.decisions.begin(), last.decisions.end());
    }
    return decisions;
  }
  // Of VM 1, after it has suffered for one tick.
  ReadRate first_cut(const ReadRate& reads) {
    add(1, 0.9, reads);
    suffer(milliseconds(500));
    tick();
    return last.limits.empty() ? ReadRate{} : last.limits[0].rate;
  }
};

std::vector<RuleStep> steps(const std::vector<RuleDecision>& decisions) {
  std::vector<RuleStep> all;
  for (const RuleDecision& decision : decisions) {
    all.push_back(decision.step);
  }
  return all;
}
using Steps = std::vector<RuleStep>;

TEST(ContentionRule, CutsTheCulpritToHalfOfWhatItWasMeasuredToDo) {
  Rule rule;
  EXPECT_EQ(rule.first_cut(kFast), (ReadRate{.bytes = 200e6, .operations = 2000}));
  EXPECT_EQ(rule.last.limits[0].vm, vm_number(1));
  EXPECT_EQ(rule.last.limits[0].device, kDisk);
  ASSERT_EQ(rule.last.decisions.size(), 1U);
  EXPECT_EQ(rule.last.decisions[0].step, RuleStep::kCut);
  EXPECT_EQ(rule.last.decisions[0].rate, rule.last.limits[0].rate);
}

TEST(ContentionRule, WaitsForTheEffectBeforeItCutsAgain) {
  Rule rule;
  rule.first_cut(kFast);
  rule.follow_limits(kFast);
  rule.suffer(milliseconds(400));
  EXPECT_TRUE(rule.tick().empty());
  EXPECT_EQ(steps(rule.tick()), Steps{RuleStep::kCut});
  EXPECT_EQ(rule.last.limits[0].rate, (ReadRate{.bytes = 100e6, .operations = 1000}));
}

TEST(ContentionRule, CutsWhatIsMeasuredNotWhatWasAllowed) {
  Rule rule;
  rule.first_cut(kFast);
  rule.disk().users[0].reads = {.bytes = 80e6, .operations = 800};  // less than its limit
  rule.tick(2);
  EXPECT_EQ(rule.last.limits[0].rate, (ReadRate{.bytes = 40e6, .operations = 400}));
}

TEST(ContentionRule, NeverGoesBelowTheFloor) {
  Rule rule;
  EXPECT_EQ(rule.first_cut({.bytes = 20e6, .operations = 5000}),
            (ReadRate{.bytes = 16e6, .operations = 2500}));
  for (int wait = 499; wait > 400; --wait) {  // a little better each time: never given up
    rule.follow_limits(kFast);
    rule.suffer(milliseconds(wait));
    rule.tick(2);
  }
  EXPECT_EQ(rule.last.limits[0].rate, kLeastReadRate);
}

TEST(ContentionRule, WhereNothingCanBeCutItSaysSoOnce) {
  Rule rule;
  EXPECT_EQ(rule.first_cut({.bytes = 1e6, .operations = 100}), ReadRate{});  // it writes
  EXPECT_EQ(steps(rule.last.decisions), Steps{RuleStep::kNoLever});
  EXPECT_TRUE(rule.tick(60).empty());
  rule.calm();
  rule.tick();
  rule.suffer(milliseconds(500));
  EXPECT_EQ(steps(rule.tick()), Steps{RuleStep::kNoLever});
}

TEST(ContentionRule, LeavesTheProtectedTheGoneAndTheInnocentAlone) {
  Rule rule;
  rule.add(1, 0.4).is_protected = true;
  rule.add(2, 0.3).is_culprit = false;
  rule.add(3, 0.2);
  rule.input.vms.pop_back();
  rule.suffer(milliseconds(500));
  EXPECT_EQ(steps(rule.tick()), Steps{RuleStep::kNoLever});
  EXPECT_TRUE(rule.last.limits.empty());
}

TEST(ContentionRule, TheLargestSharesComeFirstWhereNotAllMayBeLimited) {
  Rule rule;
  rule.add(1, 0.2);
  rule.add(2, 0.4);
  rule.add(3, 0.3);
  rule.input.max_limited_vms = 2;
  rule.suffer(milliseconds(500));
  rule.tick();
  ASSERT_EQ(rule.last.limits.size(), 2U);
  EXPECT_EQ(rule.last.limits[0].vm, vm_number(2));
  EXPECT_EQ(rule.last.limits[1].vm, vm_number(3));
}

TEST(ContentionRule, ReleasesByEqualStepsQuickUntilItMayBeTooMuchAgain) {
  Rule rule;
  rule.first_cut(kFast);
  rule.calm();
  double bytes = 200e6;
  for (const int silent : {3, 2, 2, 9, 9}) {  // from 80 % of 400 MB/s on it waits longer
    rule.follow_limits(kFast);
    EXPECT_TRUE(rule.tick(silent).empty()) << bytes;
    EXPECT_EQ(steps(rule.tick()), Steps{RuleStep::kRaised}) << bytes;
    bytes += 40e6;
    EXPECT_EQ(rule.last.limits[0].rate, (ReadRate{.bytes = bytes, .operations = bytes / 1e5}));
  }
}

TEST(ContentionRule, ALimitGoesWhenItReachesWhatTheVmDidBefore) {
  Rule rule;
  rule.first_cut(kFast);
  rule.calm();
  Steps all;
  for (int i = 0; i < 70; ++i) {
    rule.follow_limits(kFast);
    for (const RuleStep step : steps(rule.tick())) {
      all.push_back(step);
    }
  }
  EXPECT_EQ(all.size(), 6U);
  EXPECT_EQ(all.back(), RuleStep::kRemoved);
  EXPECT_TRUE(rule.last.limits.empty());
  EXPECT_TRUE(rule.state.devices.empty());
}

TEST(ContentionRule, ALimitThatNobodyNeedsGoes) {
  Rule rule;
  rule.first_cut(kFast);
  rule.disk().users[0].reads = {.bytes = 150e6, .operations = 1500};
  rule.config.calm_for = rule.config.quick_calm_for = seconds(1000);
  rule.calm();
  EXPECT_TRUE(rule.tick(30).empty());
  EXPECT_EQ(steps(rule.tick()), Steps{RuleStep::kRemoved});
}

TEST(ContentionRule, ALimitInUseByOneMeasureAloneStays) {
  Rule rule;
  rule.first_cut(kFast);
  rule.disk().users[0].reads = {.bytes = 8e6, .operations = 2000};
  rule.config.calm_for = rule.config.quick_calm_for = seconds(1000);
  rule.calm();
  EXPECT_TRUE(rule.tick(100).empty());
  EXPECT_EQ(rule.last.limits.size(), 1U);
}

TEST(ContentionRule, ARaiseThatWasTooMuchIsTakenBack) {
  Rule rule;
  rule.first_cut(kFast);
  rule.calm();
  rule.follow_limits(kFast);
  rule.tick(4);
  rule.follow_limits(kFast);
  rule.suffer(milliseconds(500));
  rule.tick();
  EXPECT_EQ(rule.last.limits[0].rate, (ReadRate{.bytes = 192e6, .operations = 1920}));
  rule.follow_limits(kFast);
  rule.suffer(milliseconds(400));
  rule.tick(2);  // that was not it
  EXPECT_EQ(rule.last.limits[0].rate, (ReadRate{.bytes = 96e6, .operations = 960}));
  rule.follow_limits(kFast);
  rule.calm();
  EXPECT_TRUE(rule.tick(3).empty());  // anew, from the end of it
  EXPECT_EQ(steps(rule.tick()), Steps{RuleStep::kRaised});
}

TEST(ContentionRule, WhatIsOnlySaidIsSaidOnce) {
  Rule rule;
  rule.add(1, 0.9).is_dry_run = true;
  rule.suffer(milliseconds(500));
  EXPECT_EQ(steps(rule.tick()), Steps{RuleStep::kCut});
  EXPECT_TRUE(rule.tick(60).empty());  // neither lower nor ineffective: it was never set
  ASSERT_EQ(rule.last.limits.size(), 1U);
  EXPECT_EQ(rule.last.limits[0].rate, (ReadRate{.bytes = 200e6, .operations = 2000}));
  rule.disk().users[0].is_dry_run = false;  // from now on it is meant
  EXPECT_EQ(steps(rule.tick(2)), Steps{RuleStep::kCut});
  EXPECT_EQ(rule.last.limits[0].rate, (ReadRate{.bytes = 200e6, .operations = 2000}));
}

TEST(ContentionRule, LimitsThatDoNotHelpAllGo) {
  Rule rule;
  rule.first_cut(kFast);
  Steps all;
  for (int i = 0; i < 12; ++i) {
    rule.follow_limits(kFast);
    for (const RuleStep step : steps(rule.tick())) {
      all.push_back(step);
    }
  }
  EXPECT_EQ(all,
            (Steps{RuleStep::kCut,
                   RuleStep::kCut,
                   RuleStep::kCut,
                   RuleStep::kCut,
                   RuleStep::kRemoved,
                   RuleStep::kIneffective}));
  EXPECT_TRUE(rule.last.limits.empty());
  rule.follow_limits(kFast);
  EXPECT_TRUE(rule.tick(297).empty());  // five minutes since
  EXPECT_EQ(steps(rule.tick(2)), Steps{RuleStep::kCut});
}

TEST(ContentionRule, AtTheFloorItGivesUpToo) {
  Rule rule;
  rule.first_cut({.bytes = 20e6, .operations = 300});
  rule.follow_limits(kFast);
  EXPECT_EQ(steps(rule.tick(10)), (Steps{RuleStep::kRemoved, RuleStep::kIneffective}));
}

TEST(ContentionRule, BetterVictimsAreAReasonToGoOn) {
  Rule rule;
  rule.first_cut({.bytes = 4e9, .operations = 4e6});
  for (int wait = 499; wait > 480; --wait) {
    rule.follow_limits({.bytes = 4e9, .operations = 4e6});
    rule.suffer(milliseconds(wait));
    for (const RuleStep step : steps(rule.tick(2))) {
      EXPECT_EQ(step, RuleStep::kCut);
    }
  }
}

TEST(ContentionRule, WhatIsNotKnownChangesNothingAndIsNotCalm) {
  Rule rule;
  rule.config.quick_calm_for = seconds(10);
  rule.first_cut(kFast);
  const auto before = rule.last.limits;
  rule.follow_limits(kFast);
  rule.calm();
  rule.tick(8);
  rule.input.known = false;
  EXPECT_TRUE(rule.tick(60).empty());
  EXPECT_EQ(rule.last.limits, before);
  rule.input.known = true;
  EXPECT_TRUE(rule.tick(10).empty());
  EXPECT_EQ(steps(rule.tick()), Steps{RuleStep::kRaised});
}

TEST(ContentionRule, AVmThatStopsLosesItsLimitsAtOnceKnownOrNot) {
  Rule rule;
  rule.first_cut(kFast);
  rule.input.known = false;
  rule.input.vms.clear();
  EXPECT_EQ(steps(rule.tick()), Steps{RuleStep::kRemoved});
  EXPECT_TRUE(rule.last.limits.empty());
}

TEST(ContentionRule, ADeviceThatIsLeftOutIsQuiet) {
  Rule rule;
  rule.config.quick_calm_for = seconds(10);
  rule.first_cut(kFast);
  rule.input.devices.clear();
  EXPECT_EQ(steps(rule.tick(11)), Steps{RuleStep::kRaised});
  rule.tick(60);
  EXPECT_TRUE(rule.last.limits.empty());
  EXPECT_TRUE(rule.state.devices.empty());
}

}  // namespace
}  // namespace hvguard
