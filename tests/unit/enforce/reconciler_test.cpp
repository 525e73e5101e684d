#include "enforce/reconciler.h"

#include <gtest/gtest.h>

#include "cgroup_fixture.h"
#include "fake_levers.h"

namespace hvguard::enforce {
namespace {

using namespace std::chrono_literals;
using test::kPids;
using test::kReadBytes;
using test::Mood;

constexpr const char* kScope = "/machine.slice/vm.scope";
const SettingKey kMemoryHigh{LimitKind::kMemoryHigh, {}};

class ReconcilerTest : public testing::Test {
 protected:
  ReconcilerTest() {
    target_.vm = test::vm_number(1);
    target_.unit = "vm.scope";
    target_.cgroup_path = kScope;
    target_.cgroup = CgroupId{5};
    targets_ = {target_};
  }
  void want(const SettingKey& key,
            std::uint64_t value,
            LimitOrigin origin = LimitOrigin::kGuardRule,
            bool dry_run = false) {
    std::erase_if(desired_, [&](const Limit& limit) {
      return limit.key.kind == key.kind && limit.key.device == key.device;
    });
    Limit limit;
    limit.key = {target_.vm, key.kind, key.device};
    limit.value = value;
    limit.origin = origin;
    limit.dry_run = dry_run;
    desired_.push_back(limit);
  }
  void tick(Nanoseconds later = 1s) {
    now_ = now_ + later;
    reconciler_.reconcile(desired_, targets_, options_, now_);
    host_.deliver_all();
  }
  Outcome outcome(const SettingKey& key) {
    for (const Outcome& one : reconciler_.outcomes()) {
      if (one.key.kind == key.kind && one.key.device == key.device) {
        return one;
      }
    }
    ADD_FAILURE() << "no outcome";
    return {};
  }
  SettingValue kernel(const SettingKey& key) { return host_.get(kScope, key); }

  test::CgroupFixture fixture_;
  DirFd folder_ = *DirFd::open(fixture_.runtime());
  test::FakeHost host_;
  test::FakeLever systemd_{host_, LeverKind::kSystemd};
  test::FakeLever cgroupfs_{host_, LeverKind::kCgroupfs};
  LeaseJournal journal_{folder_, "boot-1"};
  Reconciler reconciler_{{&systemd_, &cgroupfs_, &cgroupfs_, &journal_}};
  LimitTarget target_;
  std::vector<LimitTarget> targets_;
  DesiredLimits desired_;
  LimitOptions options_;
  BootTime now_{100s};
};

TEST_F(ReconcilerTest, SetsThroughSystemdReadsBackAndGivesBack) {
  want(kReadBytes, 32 << 20);
  tick();
  EXPECT_EQ(kernel(kReadBytes), SettingValue(32 << 20));
  EXPECT_EQ(outcome(kReadBytes).state, OutcomeState::kInForce);
  EXPECT_EQ(outcome(kReadBytes).lever, LeverKind::kSystemd);
  EXPECT_EQ(outcome(kReadBytes).in_kernel, SettingValue(32 << 20));
  ASSERT_EQ(load_journal(folder_)->records.size(), 1U);
  EXPECT_EQ(load_journal(folder_)->records[0].earlier, std::nullopt);
  desired_.clear();
  tick();
  EXPECT_EQ(outcome(kReadBytes).state, OutcomeState::kReleased);
  EXPECT_TRUE(host_.tree().empty());
  tick();
  EXPECT_FALSE(fixture_.has_journal());
  EXPECT_TRUE(reconciler_.idle());
  EXPECT_TRUE(cgroupfs_.tasks.empty());
}

TEST_F(ReconcilerTest, TheJournalIsWrittenBeforeTheLeverIsAsked) {
  want(kPids, 4096);
  host_.set(kScope, kPids, 16384);
  now_ = now_ + 1s;
  reconciler_.reconcile(desired_, targets_, options_, now_);
  ASSERT_TRUE(host_.deliver());  // what was read
  ASSERT_EQ(systemd_.tasks.size(), 1U);
  EXPECT_EQ(kernel(kPids), SettingValue(16384)) << "not done yet";
  ASSERT_EQ(load_journal(folder_)->records.size(), 1U);
  EXPECT_EQ(load_journal(folder_)->records[0].earlier, SettingValue(16384));
  EXPECT_EQ(load_journal(folder_)->records[0].ours, std::vector<SettingValue>{4096});
}

TEST_F(ReconcilerTest, WithoutAJournalNothingIsChanged) {
  std::filesystem::create_directories(fixture_.runtime() + "/limits.journal/x");
  want(kPids, 4096);
  tick();
  EXPECT_TRUE(systemd_.tasks.empty());
  EXPECT_EQ(outcome(kPids).state, OutcomeState::kFailed);
  EXPECT_NE(outcome(kPids).detail.find("limits.journal"), std::string::npos);
}

TEST_F(ReconcilerTest, DryRunTouchesNothing) {
  want(kReadBytes, 32 << 20, LimitOrigin::kBaseline, true);
  tick();
  EXPECT_EQ(cgroupfs_.reads, 0);
  EXPECT_TRUE(reconciler_.outcomes().empty());
}

TEST_F(ReconcilerTest, ADifferenceIsTriedAgainWithBackOff) {
  systemd_.mood = Mood::kIgnores;
  want(kReadBytes, 32 << 20);
  tick();
  EXPECT_EQ(outcome(kReadBytes).state, OutcomeState::kDiffers);
  for (int i = 0; i < 120; ++i) {
    tick();
  }
  EXPECT_LE(systemd_.tasks.size(), 8U) << "1 s, 2 s, 4 s … between two";
  EXPECT_EQ(outcome(kReadBytes).failed_attempts, systemd_.tasks.size());
  systemd_.mood = Mood::kWell;
  tick(61s);
  EXPECT_EQ(outcome(kReadBytes).state, OutcomeState::kInForce);
  EXPECT_EQ(outcome(kReadBytes).failed_attempts, 0U);
}

TEST_F(ReconcilerTest, AForeignChangeIsRespectedUntilAnotherValueIsWanted) {
  want(kReadBytes, 32 << 20);
  tick();
  host_.set(kScope, kReadBytes, 1 << 20);
  tick(kLimitReadInterval + 1s);
  EXPECT_EQ(outcome(kReadBytes).state, OutcomeState::kForeign);
  EXPECT_EQ(kernel(kReadBytes), SettingValue(1 << 20));
  for (int i = 0; i < 30; ++i) {
    tick();
  }
  EXPECT_EQ(systemd_.tasks.size(), 1U);
  EXPECT_EQ(journal_.size(), 0U) << "it is not ours to give back";
  want(kReadBytes, 512 << 10, LimitOrigin::kOperator);
  tick();
  EXPECT_EQ(outcome(kReadBytes).state, OutcomeState::kInForce);
  desired_.clear();
  tick();
  EXPECT_EQ(kernel(kReadBytes), SettingValue(1 << 20)) << "what was there before the second time";
}

TEST_F(ReconcilerTest, AForeignChangeIsNotWipedByTheNextStepOfOurs) {
  want(kReadBytes, 32 << 20);
  tick();
  host_.set(kScope, kReadBytes, 1 << 20);
  desired_.clear();
  tick();
  EXPECT_EQ(outcome(kReadBytes).state, OutcomeState::kForeign);
  EXPECT_EQ(kernel(kReadBytes), SettingValue(1 << 20));
  tick();
  EXPECT_FALSE(fixture_.has_journal());
}

TEST_F(ReconcilerTest, NoDynamicLimitLoosensWhatSomeoneElseHolds) {
  host_.set(kScope, kReadBytes, 4 << 20);
  want(kReadBytes, 32 << 20);
  tick();
  EXPECT_EQ(outcome(kReadBytes).state, OutcomeState::kForeign);
  EXPECT_TRUE(systemd_.tasks.empty());
  want(kReadBytes, 64 << 20, LimitOrigin::kBaseline);
  tick();
  EXPECT_EQ(kernel(kReadBytes), SettingValue(64 << 20)) << "the configuration says it";
}

TEST_F(ReconcilerTest, WhenSystemdIsSilentOnlyGivingBackGoesToTheFiles) {
  want(kReadBytes, 32 << 20);
  tick();
  systemd_.mood = Mood::kSilent;
  want(kPids, 4096);
  tick();
  EXPECT_EQ(outcome(kPids).state, OutcomeState::kFailed);
  EXPECT_EQ(outcome(kPids).detail, "no answer");
  EXPECT_TRUE(cgroupfs_.tasks.empty());
  desired_.clear();
  tick(5s);
  EXPECT_EQ(kernel(kReadBytes), std::nullopt) << "at once, by the file";
  EXPECT_FALSE(reconciler_.idle()) << "systemd has it still";
  EXPECT_TRUE(fixture_.has_journal());
  EXPECT_NE(outcome(kReadBytes).detail.find("yet to be told"), std::string::npos);
  systemd_.mood = Mood::kWell;
  tick(61s);
  tick();
  EXPECT_TRUE(reconciler_.idle());
  EXPECT_FALSE(fixture_.has_journal());
}

TEST_F(ReconcilerTest, IfAllowedItSetsThroughTheFilesAndTellsSystemdLater) {
  options_.write_when_systemd_is_silent = true;
  systemd_.mood = Mood::kSilent;
  want(kReadBytes, 32 << 20);
  tick();
  EXPECT_EQ(kernel(kReadBytes), SettingValue(32 << 20));
  EXPECT_EQ(outcome(kReadBytes).state, OutcomeState::kInForce);
  EXPECT_EQ(outcome(kReadBytes).lever, LeverKind::kCgroupfs);
  host_.set(kScope, kReadBytes, std::nullopt);  // daemon-reload takes it back: nobody's wish
  systemd_.mood = Mood::kWell;
  tick(61s);
  EXPECT_EQ(kernel(kReadBytes), SettingValue(32 << 20));
  EXPECT_EQ(outcome(kReadBytes).lever, LeverKind::kSystemd);
  EXPECT_EQ(outcome(kReadBytes).failed_attempts, 0U);
}

TEST_F(ReconcilerTest, MemoryHighIsLoweredByTheHelperBeforeSystemdIsTold) {
  want(kMemoryHigh, std::uint64_t{8} << 30);
  tick();
  ASSERT_EQ(cgroupfs_.tasks.size(), 1U);
  EXPECT_TRUE(systemd_.tasks.empty()) << "PID 1 would reclaim";
  tick();
  ASSERT_EQ(systemd_.tasks.size(), 1U);
  desired_.clear();
  tick();
  EXPECT_EQ(cgroupfs_.tasks.size(), 1U) << "raising reclaims nothing";
  EXPECT_EQ(kernel(kMemoryHigh), std::nullopt);
}

TEST_F(ReconcilerTest, ACgroupThatIsNoUnitsGoesToTheFiles) {
  target_.unit.clear();
  targets_ = {target_};
  want(kPids, 4096);
  tick();
  EXPECT_EQ(outcome(kPids).state, OutcomeState::kInForce);
  EXPECT_TRUE(systemd_.tasks.empty());
}

TEST_F(ReconcilerTest, WhatNoLeverWouldDoIsSaidAndNotTried) {
  target_.libvirt = true;
  targets_ = {target_};
  want({LimitKind::kCpuWeight, {}}, 50);
  want(kReadBytes, 1);
  tick();
  EXPECT_NE(outcome({LimitKind::kCpuWeight, {}}).detail.find("virsh"), std::string::npos);
  EXPECT_EQ(outcome(kReadBytes).state, OutcomeState::kFailed);
  EXPECT_TRUE(systemd_.tasks.empty());
}

TEST_F(ReconcilerTest, AVmThatIsGoneLeavesNothing) {
  want(kReadBytes, 32 << 20);
  tick();
  host_.remove(kScope);
  targets_.clear();
  tick();
  tick();
  EXPECT_TRUE(reconciler_.outcomes().empty());
  EXPECT_FALSE(fixture_.has_journal());
  EXPECT_EQ(systemd_.tasks.size(), 1U) << "the scope's properties went with it";
}

TEST_F(ReconcilerTest, AServiceThatIsGoneForgetsTheProperty) {
  target_.unit = "vm.service";
  targets_ = {target_};
  want(kReadBytes, 32 << 20);
  tick();
  host_.remove(kScope);
  targets_.clear();
  tick();
  ASSERT_EQ(systemd_.tasks.size(), 2U);
  EXPECT_EQ(systemd_.tasks[1].changes, (std::vector<Setting>{{kReadBytes, std::nullopt}}));
  tick();
  EXPECT_FALSE(fixture_.has_journal());
}

TEST_F(ReconcilerTest, TheIoControllerIsArmedOnce) {
  target_.no_io_controller = true;
  targets_ = {target_};
  tick();
  EXPECT_TRUE(systemd_.armed.empty());
  options_.arm_io = true;
  tick();
  tick();
  EXPECT_EQ(systemd_.armed, std::vector<std::string>{"vm.scope"});
}

TEST_F(ReconcilerTest, AnEarlierRunsRecordIsTakenOver) {
  journal_.adopt({"boot-1",
                  {{.vm = target_.vm,
                    .unit = "vm.scope",
                    .cgroup_path = kScope,
                    .cgroup = target_.cgroup,
                    .key = kPids,
                    .earlier = 16384,
                    .ours = {4096}}},
                  {}});
  host_.set(kScope, kPids, 4096);
  want(kPids, 2048);
  tick();
  desired_.clear();
  tick();
  EXPECT_EQ(kernel(kPids), SettingValue(16384)) << "not the 4096 of the run before";
}

TEST_F(ReconcilerTest, ReleaseAllGivesBackEverything) {
  want(kReadBytes, 32 << 20);
  want(kPids, 4096);
  tick();
  reconciler_.release_all(now_);
  host_.deliver_all();
  EXPECT_TRUE(host_.tree().empty());
  tick();
  EXPECT_TRUE(reconciler_.idle());
  EXPECT_TRUE(host_.tree().empty()) << "what is still desired has no effect";
}

}  // namespace
}  // namespace hvguard::enforce
