// throttled_by_us, the blast radius, the change budget, and what is said how often.
#include <gtest/gtest.h>

#include "decide/throttle_chain.h"
#include "safety_story.h"

namespace hvguard {
namespace {

using std::chrono::seconds;
using test::kDisk;
using test::kMega;
using test::kOtherDisk;
using test::kVolume;
using test::SafetyStory;

const std::vector<std::string> kDiskStack = {"folio_wait_bit_common", "filemap_read"};
const std::vector<std::string> kJournalStack = {"jbd2_log_wait_commit", "ext4_sync_file"};

TEST(SafetyThrottle, IsDoubledThenDroppedAndComesBackWhenCalm) {
  SafetyStory story;
  const auto tick = [&] { return story.tick({story.cut(1, 50 * kMega)}); };
  tick();
  story.block(1, story.now(), kDiskStack);
  for (int i = 1; i < 30; ++i) {
    tick();
    ASSERT_EQ(story.value(), 50 * kMega) << i;
  }
  tick();
  EXPECT_EQ(story.value(), 100 * kMega);
  EXPECT_EQ(story.steps(), "loosened");
  tick();
  EXPECT_EQ(story.value(), 100 * kMega);
  tick();
  EXPECT_EQ(story.value(), 200 * kMega);
  tick();
  tick();
  EXPECT_EQ(story.value(), 400 * kMega);
  tick();
  tick();
  EXPECT_EQ(story.steps(), "removed");
  for (int i = 0; i < 30; ++i) {
    tick();
    EXPECT_TRUE(story.last.limits.empty());
  }
  story.unblock_all();
  for (int i = 0; i < 59; ++i) {
    tick();
    ASSERT_TRUE(story.last.limits.empty()) << i;
  }
  tick();
  EXPECT_EQ(story.value(), 50 * kMega);
}

TEST(SafetyThrottle, WhatWasLoosenedIsNotTightenedBeforeItIsCalm) {
  SafetyStory story;
  story.tick({story.cut(1, 50 * kMega)});
  story.block(1, story.now() - seconds(40), kDiskStack);
  story.tick({story.cut(1, 50 * kMega)});
  EXPECT_EQ(story.value(), 100 * kMega);
  story.unblock_all();
  for (int i = 0; i < 59; ++i) {
    story.tick({story.cut(1, 40 * kMega)});
    ASSERT_EQ(story.value(), 100 * kMega);
  }
  story.tick({story.cut(1, 150 * kMega)});
  EXPECT_EQ(story.value(), 150 * kMega) << "looser is always right";
}

TEST(SafetyThrottle, AShortTimeoutLeavesNoTimeForSteps) {
  SafetyStory story;
  story.snapshot.host.hung_task->timeout_seconds = 10;
  story.tick({story.cut(1, 500 * kMega)});
  story.block(1, story.now(), kDiskStack);
  story.tick({story.cut(1, 500 * kMega)});
  story.tick({story.cut(1, 500 * kMega)});
  EXPECT_EQ(story.value(), 500 * kMega);
  story.tick({story.cut(1, 500 * kMega)});  // 3 s: over a quarter
  EXPECT_EQ(story.value(), 1000 * kMega);
  story.tick({story.cut(1, 500 * kMega)});
  story.tick({story.cut(1, 500 * kMega)});  // 5 s: half
  EXPECT_TRUE(story.last.limits.empty());
}

TEST(SafetyThrottle, ABaselineInTheWayIsLoosenedToo) {
  SafetyStory story;
  const Limit baseline = SafetyStory::limit(1, LimitKind::kReadBytes, 50 * kMega);
  story.tick({baseline});
  story.block(1, story.now() - seconds(40), kDiskStack);
  story.tick({baseline});
  EXPECT_EQ(story.value(), 100 * kMega);
  story.tick({baseline, SafetyStory::limit(2, LimitKind::kReadBytes, 50 * kMega)});
  EXPECT_EQ(story.last.limits.size(), 2U) << "that of another VM is in nobody's way";
}

TEST(SafetyThrottle, NothingBeginsWhereSomebodyWaits) {
  SafetyStory story;
  story.block(1, story.now() - seconds(40), kDiskStack);
  story.tick({story.cut(1, 50 * kMega)});
  EXPECT_TRUE(story.last.limits.empty());
  EXPECT_EQ(story.steps(), "refused");
}

TEST(SafetyThrottle, FollowsTheLockToItsHolder) {
  SafetyStory story;
  story.tick({story.cut(1, 50 * kMega)});
  const Pid holder = story.block(1, story.now(), kDiskStack).id.tid;
  story.block(0, story.now() - seconds(35), {"rwsem_down_read_slowpath"}).lock =
      LockWait{.type = LockType::kRwsemReader, .owner_tid = holder};
  story.tick({story.cut(1, 50 * kMega)});
  EXPECT_EQ(story.value(), 100 * kMega);
}

TEST(SafetyThrottle, AHostTaskAtAJournalWaitsForWritesOnly) {
  SafetyStory story;
  story.config.allow_write_limits = true;
  story.input.devices_without_shared_journal = {kDisk};
  const std::vector<Limit> wanted = {story.cut(1, 50 * kMega),
                                     SafetyStory::limit(2, LimitKind::kWriteBytes, 50 * kMega)};
  story.tick(wanted);
  story.block(0, story.now() - seconds(40), kJournalStack);
  story.tick(wanted);
  ASSERT_EQ(story.last.limits.size(), 2U);
  EXPECT_EQ(story.last.limits[0].value, 50 * kMega) << "victims of a contention are no sign";
  EXPECT_EQ(story.last.limits[1].value, 100 * kMega);
}

TEST(SafetyThrottle, WaitsThatNoDiskCanEndAreNoSign) {
  SafetyStory story;
  story.tick({story.cut(1, 50 * kMega)});
  story.block(1, story.now() - seconds(100), {"kvm_vm_release"});
  story.block(1, story.now() - seconds(100), kDiskStack).blocked_class = BlockedClass::kKillable;
  story.tick({story.cut(1, 50 * kMega)});
  EXPECT_EQ(story.value(), 50 * kMega);
}

TEST(SafetyThrottle, WhatIsOnlySaidIsInNobodysWay) {
  SafetyStory story;
  Limit said = story.cut(1, 50 * kMega);
  said.dry_run = true;
  story.tick({said});
  story.block(1, story.now() - seconds(40), kDiskStack);
  story.tick({said});
  EXPECT_EQ(story.value(), 50 * kMega);
}

TEST(SafetyThrottle, AStalledDeviceLosesItsLimits) {
  const auto loosened = [](std::optional<VmId> vm, DeviceId device) {
    SafetyStory story;
    story.tick({story.cut(1, 50 * kMega)});
    Incident stall;
    stall.id = "stall";
    stall.kind = IncidentKind::kIoStall;
    stall.subject.vm = vm;
    stall.subject.device = device;
    IoStallEvidence evidence;
    evidence.stalled_since = story.now() - seconds(5);
    stall.evidence = evidence;
    story.incidents.push_back(stall);
    story.tick({story.cut(1, 50 * kMega)});
    return story.value() == 100 * kMega;
  };
  EXPECT_TRUE(loosened(SafetyStory::id(1), kDisk));
  EXPECT_TRUE(loosened(SafetyStory::id(1), kVolume)) << "it lies on the disk";
  EXPECT_TRUE(loosened(std::nullopt, kDisk));
  EXPECT_FALSE(loosened(SafetyStory::id(2), kDisk));
  EXPECT_FALSE(loosened(SafetyStory::id(1), kOtherDisk));
}

TEST(SafetyThrottle, AHungTaskIncidentKnowsWaitsThatWakeThemselves) {
  SafetyStory story;
  story.tick({story.cut(1, 50 * kMega)});
  const BlockedTask& task = story.block(1, story.now(), {"submit_bio_wait"});
  Incident hung;
  hung.id = "hung";
  hung.kind = IncidentKind::kHungTask;
  HungTaskEvidence evidence;
  evidence.cause = HungTaskCause::kBlockIo;
  evidence.members.push_back({.id = task.id,
                              .tgid = 1,
                              .comm = "worker",
                              .blocked_since = story.now() - seconds(45),
                              .blocked_class = BlockedClass::kHard,
                              .vm = SafetyStory::id(1)});
  evidence.vms = {SafetyStory::id(1)};
  hung.evidence = evidence;
  story.incidents.push_back(hung);
  story.tick({story.cut(1, 50 * kMega)});
  EXPECT_EQ(story.value(), 100 * kMega);
  story.unblock_all();  // the incident stays open for a while
  for (int i = 0; i < 5; ++i) {
    story.tick({story.cut(1, 50 * kMega)});
    EXPECT_EQ(story.value(), 100 * kMega);
  }
}

// ---- blast radius and budget

std::vector<VmId> limited(const SafeLimits& limits) {
  std::vector<VmId> vms;
  for (const Limit& limit : limits.limits) {
    vms.push_back(limit.key.vm);
  }
  return vms;
}

TEST(SafetyRadius, AQuarterOfTheVmsAndThoseThatAreLimitedKeepTheirPlace) {
  SafetyStory story;  // 8 VMs: 2 places
  for (int i = 1; i <= 8; ++i) {
    VmFacts facts;
    facts.id = SafetyStory::id(i);
    facts.read.bytes_per_second = i * 1e6;
    story.facts.vms.push_back(facts);
  }
  std::vector<Limit> wanted = {story.cut(3, 50 * kMega)};
  story.tick(wanted);
  for (const int i : {1, 2, 4, 5, 6}) {
    wanted.push_back(story.cut(i, 50 * kMega));
  }
  story.tick(wanted);
  EXPECT_EQ(limited(story.last), (std::vector{SafetyStory::id(3), SafetyStory::id(6)}))
      << "who has one, then who reads most";
  story.tick({story.cut(3, 50 * kMega), story.cut(6, 50 * kMega), story.asked(1, 50 * kMega)});
  EXPECT_EQ(limited(story.last), (std::vector{SafetyStory::id(3), SafetyStory::id(6)}));
  story.tick({story.cut(3, 50 * kMega), story.cut(5, 50 * kMega), story.asked(1, 50 * kMega)});
  EXPECT_EQ(limited(story.last), (std::vector{SafetyStory::id(1), SafetyStory::id(3)}))
      << "people before rules";
}

TEST(SafetyRadius, OneIsAlwaysAllowedAndBaselinesDoNotCount) {
  SafetyStory story(2);
  story.tick({story.cut(1, 50 * kMega),
              story.cut(2, 50 * kMega),
              SafetyStory::limit(1, LimitKind::kIoWeight, 50),
              SafetyStory::limit(2, LimitKind::kReadBytes, 100 * kMega)});
  ASSERT_EQ(story.last.limits.size(), 3U);
  EXPECT_EQ(story.last.limits[2].value, 100 * kMega);
}

TEST(SafetyBudget, HoldsBackTighteningOnlyAndKeepsPairsWhole) {
  SafetyStory story;
  story.config.max_changes_per_minute = 1;
  const auto pair = [&](int vm, std::uint64_t value) {
    return std::vector{story.cut(vm, value * kMega),
                       story.cut(vm, value * 100, LimitKind::kReadOperations)};
  };
  story.tick(pair(1, 50));
  EXPECT_EQ(story.last.limits.size(), 2U);
  story.tick(pair(1, 40));
  EXPECT_EQ(story.last.limits[0].value, 50 * kMega);
  EXPECT_EQ(story.last.limits[1].value, 5000U);
  EXPECT_EQ(story.steps(), "refused refused");
  story.tick(pair(1, 60));
  EXPECT_EQ(story.steps(), "loosened loosened");
  story.tick({});
  EXPECT_EQ(story.steps(), "removed removed");
  story.tick(pair(2, 50));
  EXPECT_TRUE(story.last.limits.empty());
  story.snapshot.boot_time = story.snapshot.boot_time + seconds(56);
  story.tick(pair(2, 50));
  EXPECT_EQ(story.last.limits.size(), 2U);
}

TEST(SafetyBudget, IsNotForBaselines) {
  SafetyStory story;
  story.config.max_changes_per_minute = 1;
  std::vector<Limit> wanted;
  for (int i = 1; i <= 8; ++i) {
    wanted.push_back(SafetyStory::limit(i, LimitKind::kIoWeight, 50));
  }
  story.tick(wanted);
  EXPECT_EQ(story.last.limits.size(), 8U);
}

// ---- what is said

TEST(SafetyWords, ARefusalIsSaidOnceWhileItLasts) {
  SafetyStory story;
  const Limit write = SafetyStory::limit(1, LimitKind::kWriteBytes, 50 * kMega);
  story.tick({write});
  EXPECT_EQ(story.steps(), "refused");
  for (int i = 0; i < 300; ++i) {
    story.tick({write});
    EXPECT_EQ(story.steps(), "");
  }
  for (int i = 0; i < 60; ++i) {
    story.tick({});
  }
  story.tick({write});
  EXPECT_EQ(story.steps(), "refused");
}

TEST(SafetyWords, ManyRefusalsAreSaidOverSomeTicks) {
  SafetyStory story(100);
  std::vector<Limit> wanted;
  for (int i = 1; i <= 100; ++i) {
    wanted.push_back(SafetyStory::limit(i, LimitKind::kWriteBytes, 50 * kMega));
  }
  story.tick(wanted);
  EXPECT_EQ(story.last.decisions.size(), kMaxRefusalsPerTick);
  story.tick(wanted);
  EXPECT_EQ(story.last.decisions.size(), 100 - kMaxRefusalsPerTick);
  story.tick(wanted);
  EXPECT_TRUE(story.last.decisions.empty());
}

}  // namespace
}  // namespace hvguard
