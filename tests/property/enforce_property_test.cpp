// Whatever is wanted, refused, unanswered, ignored or late: what was before is there again once
// nothing is wanted and systemd and the helper answer.
#include <cstdint>
#include <vector>

#include <algorithm>

#include <gtest/gtest.h>
// rapidcheck's gtest.h needs gtest's before it.
#include <rapidcheck/gtest.h>

#include "enforce/cgroup_fixture.h"
#include "enforce/fake_levers.h"
#include "enforce/reconciler.h"

namespace hvguard::enforce {
namespace {

using namespace std::chrono_literals;
using test::FakeHost;
using test::FakeLever;
using test::Mood;

const std::vector<SettingKey> kKeys = {{LimitKind::kReadBytes, {8, 0}},
                                       {LimitKind::kReadBytes, {8, 16}},
                                       {LimitKind::kWriteOperations, {8, 0}},
                                       {LimitKind::kMemoryHigh, {}},
                                       {LimitKind::kMemoryLow, {}},
                                       {LimitKind::kPidsMax, {}},
                                       {LimitKind::kCpuMax, {}},
                                       {LimitKind::kCpuWeight, {}}};

std::uint64_t arbitrary_value(LimitKind kind) {
  const auto step = *rc::gen::inRange<std::uint64_t>(1, 10);
  return kind == LimitKind::kCpuWeight ? step * 30 : step << 24;
}

class World {
 public:
  World() {
    for (int number = 1; number <= 3; ++number) {
      LimitTarget target;
      target.vm = test::vm_number(number);
      target.cgroup_path = "/vm" + std::to_string(number);
      target.unit = number == 3 ? "" : target.cgroup_path.substr(1) + ".scope";
      target.cgroup = CgroupId{static_cast<std::uint64_t>(number)};
      targets_.push_back(target);
      for (const SettingKey& key : kKeys) {
        if (*rc::gen::inRange(0, 3) == 0) {
          host_.set(target.cgroup_path, key, arbitrary_value(key.kind));
        }
      }
    }
    baseline_ = host_.tree();
  }
  void arbitrary_step() {
    systemd_.mood = *rc::gen::element(Mood::kWell,
                                      Mood::kWell,
                                      Mood::kRefuses,
                                      Mood::kSilent,
                                      Mood::kSilentButDoes,
                                      Mood::kIgnores);
    cgroupfs_.mood = *rc::gen::element(
        Mood::kWell, Mood::kWell, Mood::kRefuses, Mood::kSilent, Mood::kSilentButDoes);
    options_.write_when_systemd_is_silent = *rc::gen::arbitrary<bool>();
    desired_.clear();
    for (const LimitTarget& target : targets_) {
      for (const SettingKey& key : kKeys) {
        if (*rc::gen::inRange(0, 2) == 0) {
          Limit limit;
          limit.key = {target.vm, key.kind, key.device};
          limit.value = arbitrary_value(key.kind);
          limit.origin = *rc::gen::element(LimitOrigin::kBaseline, LimitOrigin::kGuardRule);
          limit.dry_run = *rc::gen::inRange(0, 5) == 0;
          desired_.push_back(limit);
        }
      }
    }
    tick(std::chrono::milliseconds(*rc::gen::inRange(100, 20'000)));
    for (int turns = *rc::gen::inRange(0, 6); turns > 0; --turns) {
      host_.deliver();
    }
  }
  void undo() {
    systemd_.mood = Mood::kWell;
    cgroupfs_.mood = Mood::kWell;
    desired_.clear();
    for (int i = 0; i < 8; ++i) {
      tick(kLastRetry + 1s);
      host_.deliver_all();
    }
  }
  void tick(Nanoseconds later) {
    now_ = now_ + later;
    reconciler_.reconcile(desired_, targets_, options_, now_);
  }
  [[nodiscard]] const FakeHost& host() const { return host_; }
  [[nodiscard]] const auto& baseline() const { return baseline_; }
  [[nodiscard]] const Reconciler& reconciler() const { return reconciler_; }
  [[nodiscard]] bool has_journal() const { return fixture_.has_journal(); }
  // Each setting that differs from the baseline has a record to put it back with.
  [[nodiscard]] bool all_is_recorded() const {
    const auto journal = load_journal(folder_);
    for (const LimitTarget& target : targets_) {
      for (const SettingKey& key : kKeys) {
        const auto values = baseline_.find(target.cgroup_path);
        SettingValue before = unset_value(key.kind);
        if (values != baseline_.end() && values->second.contains(key)) {
          before = values->second.at(key);
        }
        const SettingValue now = host_.get(target.cgroup_path, key);
        if (now == before) {
          continue;
        }
        const bool recorded = std::ranges::any_of(journal->records, [&](const LeaseRecord& record) {
          return record.vm == target.vm && record.key == key && record.earlier == before &&
                 may_be_ours(key.kind, record.ours, record.earlier, now);
        });
        if (!recorded) {
          return false;
        }
      }
    }
    return true;
  }

 private:
  test::CgroupFixture fixture_;
  DirFd folder_ = *DirFd::open(fixture_.runtime());
  FakeHost host_;
  FakeLever systemd_{host_, LeverKind::kSystemd};
  FakeLever cgroupfs_{host_, LeverKind::kCgroupfs};
  LeaseJournal journal_{folder_, "boot-1"};
  Reconciler reconciler_{{&systemd_, &cgroupfs_, &cgroupfs_, &journal_}};
  std::vector<LimitTarget> targets_;
  std::map<std::string, FakeHost::Values> baseline_;
  DesiredLimits desired_;
  LimitOptions options_;
  BootTime now_{100s};
};

RC_GTEST_PROP(Enforce, ApplyThenUndoGivesTheBaseline, ()) {
  World world;
  for (int steps = *rc::gen::inRange(1, 12); steps > 0; --steps) {
    world.arbitrary_step();
  }
  world.undo();
  RC_ASSERT(world.host().tree() == world.baseline());
  RC_ASSERT(world.reconciler().idle());
  RC_ASSERT(!world.has_journal());
}

// At any moment a crash could come: the journal has what a restorer needs.
RC_GTEST_PROP(Enforce, WhatDiffersIsInTheJournal, ()) {
  World world;
  for (int steps = *rc::gen::inRange(1, 12); steps > 0; --steps) {
    world.arbitrary_step();
    RC_ASSERT(world.all_is_recorded());
  }
}

}  // namespace
}  // namespace hvguard::enforce
