#include "decide/safety.h"

#include <gtest/gtest.h>

#include "safety_story.h"

namespace hvguard {
namespace {

using std::chrono::seconds;
using test::kDisk;
using test::kMega;
using test::kOtherDisk;
using test::kSwapVolume;
using test::kVolume;
using test::SafetyStory;

TEST(Safety, GrantsWhatHarmsNobodyAndSaysWhoseItIs) {
  SafetyStory story;
  story.tick({story.asked(1, 50 * kMega)});
  EXPECT_EQ(story.value(), 50 * kMega);
  EXPECT_EQ(story.steps(), "set");
  EXPECT_EQ(story.reason(), "wanted by an operator: because");
  story.tick({story.asked(1, 50 * kMega)});
  EXPECT_EQ(story.steps(), "");
  story.tick({story.asked(1, 40 * kMega)});
  EXPECT_EQ(story.steps(), "tightened");
  story.tick({story.asked(1, 60 * kMega)});
  EXPECT_EQ(story.steps(), "loosened");
  story.tick({});
  EXPECT_EQ(story.steps(), "removed");
  EXPECT_EQ(story.reason(), "nobody wants it any more");
  EXPECT_TRUE(story.last.limits.empty());
}

TEST(Safety, TheTightestThatIsAllowedWins) {
  SafetyStory story;
  const Limit baseline = SafetyStory::limit(1, LimitKind::kReadBytes, 200 * kMega);
  story.tick({story.asked(1, 80 * kMega), baseline, story.cut(1, 50 * kMega)});
  ASSERT_EQ(story.value(), 50 * kMega);
  EXPECT_EQ(story.last.limits[0].origin, LimitOrigin::kGuardRule);
  story.input.protected_vms = {SafetyStory::id(1)};
  story.tick({story.asked(1, 80 * kMega), baseline, story.cut(1, 50 * kMega)});
  ASSERT_EQ(story.value(), 200 * kMega);
  EXPECT_EQ(story.last.limits[0].origin, LimitOrigin::kBaseline);
  EXPECT_EQ(story.steps(), "loosened") << "both meet the same rule: said once";
}

TEST(Safety, ARealLimitIsNotReplacedByOneThatIsOnlySaid) {
  SafetyStory story;
  Limit said = story.asked(1, 20 * kMega);
  said.dry_run = true;
  story.tick({said, story.asked(1, 50 * kMega)});
  EXPECT_EQ(story.value(), 50 * kMega);
  EXPECT_FALSE(story.last.limits[0].dry_run);
  story.tick({said});
  EXPECT_EQ(story.steps(), "removed set");
  EXPECT_FALSE(story.last.decisions[0].dry_run);
  EXPECT_TRUE(story.last.decisions[1].dry_run);
}

// ---- floors

TEST(SafetyFloor, TooLowIsRaisedAndSaid) {
  SafetyStory story;
  story.tick({story.cut(1, 1 * kMega), story.cut(1, 10, LimitKind::kReadOperations)});
  ASSERT_EQ(story.last.limits.size(), 2U);
  EXPECT_EQ(story.last.limits[0].value, 16 * kMega);
  EXPECT_EQ(story.last.limits[1].value, 200U);
  ASSERT_EQ(story.steps(), "set set refused refused");
  EXPECT_EQ(story.last.decisions[2].value, 1 * kMega);
}

TEST(SafetyFloor, FollowsTheHungTaskTimeout) {
  SafetyStory story;
  story.snapshot.host.hung_task->timeout_seconds = 10;
  story.tick({story.cut(1, 1 * kMega)});
  EXPECT_EQ(story.value(), 107'374'183U);  // 256 requests of 1 MiB in 2.5 s
  story.snapshot.host.hung_task->timeout_seconds = 0;
  story.tick({story.cut(1, 1 * kMega)});
  EXPECT_EQ(story.value(), 16 * kMega);
  story.snapshot.host.hung_task.reset();  // taken for 120 s
  story.config.min_read_bytes = 2;
  story.tick({story.cut(1, 1 * kMega)});
  EXPECT_EQ(story.value(), 8'947'849U);
}

TEST(SafetyFloor, ADeeperQueueNeedsMore) {
  SafetyStory story;
  BlockIoReading reading;
  reading.vm = SafetyStory::id(1);
  reading.device = kDisk;
  reading.in_flight_count = 600;
  story.snapshot.block_io.push_back(reading);
  story.tick({story.cut(1, 1 * kMega)});
  EXPECT_EQ(story.value(), 35'791'395U);  // 1024 in 30 s
  story.tick({story.cut(2, 1 * kMega)});
  EXPECT_EQ(story.value(), 16 * kMega);
}

TEST(SafetyFloor, BaselinesHaveItToo) {
  SafetyStory story;
  story.tick({SafetyStory::limit(1, LimitKind::kReadBytes, 2 * kMega)});
  EXPECT_EQ(story.value(), 16 * kMega);
}

TEST(SafetyFloor, CpuForEachVcpu) {
  SafetyStory story;
  story.tick({SafetyStory::limit(1, LimitKind::kCpuMax, 100'000)});
  EXPECT_EQ(story.value(), 600'000U);
  story.vm(2).identity.vcpu_count.reset();
  story.tick({SafetyStory::limit(2, LimitKind::kCpuMax, 5'000'000)});
  EXPECT_EQ(story.value(), 0U) << "how many there are is not known";
}

TEST(Safety, WhatTheKernelDoesNotTakeIsRefused) {
  SafetyStory story;
  story.config.min_read_bytes = 0;
  story.snapshot.host.hung_task->timeout_seconds = 0;
  Limit partition = SafetyStory::limit(1, LimitKind::kReadBytes, 50 * kMega);
  partition.key.device = {8, 1};
  Limit weight_of_disk = SafetyStory::limit(1, LimitKind::kIoWeight, 100);
  weight_of_disk.key.device = kDisk;
  for (const Limit& wrong : {SafetyStory::limit(1, LimitKind::kReadBytes, 1),
                             SafetyStory::limit(1, LimitKind::kIoWeight, 0),
                             SafetyStory::limit(1, LimitKind::kIoWeight, 10'001),
                             SafetyStory::limit(1, LimitKind::kCpuWeight, 0),
                             SafetyStory::limit(1, LimitKind::kMemoryHigh, ~0ULL),
                             SafetyStory::limit(1, LimitKind::kPidsMax, 0),
                             partition,
                             weight_of_disk}) {
    story.state = {};
    story.tick({wrong});
    EXPECT_TRUE(story.last.limits.empty()) << to_string(wrong.key.kind) << " " << wrong.value;
    EXPECT_EQ(story.steps(), "refused");
  }
}

// ---- leases

TEST(SafetyLease, AnOpenIncidentRenewsIt) {
  SafetyStory story;
  for (int i = 0; i < 200; ++i) {
    story.tick({story.cut(1, 50 * kMega)});
    ASSERT_EQ(story.last.limits.size(), 1U);
    EXPECT_EQ(story.last.limits[0].expire_time, story.now() + seconds(60));
  }
  const Limit cut = story.cut(1, 50 * kMega);
  story.incidents[0].state = IncidentState::kResolved;
  for (int i = 0; i < 59; ++i) {
    story.tick({cut});
    EXPECT_EQ(story.value(), 50 * kMega);
  }
  story.tick({cut});
  EXPECT_EQ(story.steps(), "removed");
  EXPECT_EQ(story.reason(), "its lease has ended");
  story.tick({cut});
  EXPECT_EQ(story.steps(), "refused");
  EXPECT_EQ(story.reason(), "no open incident calls for it");
}

TEST(SafetyLease, AnotherIncidentsLeaseIsNotItsOwn) {
  SafetyStory story;
  story.tick({story.cut(1, 50 * kMega)});
  Limit stray = story.cut(1, 30 * kMega);
  stray.incident_id = "";
  story.tick({story.cut(1, 50 * kMega), stray});
  EXPECT_EQ(story.value(), 50 * kMega);
  EXPECT_EQ(story.steps(), "refused");
}

TEST(SafetyLease, OldDataDoNotRenewIt) {
  SafetyStory story;
  story.tick({story.cut(1, 50 * kMega)});
  const BootTime seen = story.now();
  for (int i = 4; i < 60; ++i) {
    story.ask({story.cut(1, 50 * kMega)}, seen + seconds(i));
    EXPECT_EQ(story.value(), 50 * kMega) << i;
  }
  story.ask({story.cut(1, 50 * kMega)}, seen + seconds(60));
  EXPECT_EQ(story.reason(), "its lease has ended");
}

TEST(SafetyLease, ThatOfPeopleEndsWhenTheySaid) {
  SafetyStory story;
  const Limit asked = story.asked(1, 50 * kMega, seconds(3));
  story.tick({asked});
  story.tick({asked});
  EXPECT_EQ(story.value(), 50 * kMega);
  story.tick({asked});
  EXPECT_EQ(story.steps(), "removed");
  Limit endless = asked;
  endless.expire_time.reset();
  story.tick({endless});
  EXPECT_EQ(story.reason(), "a limit that is no baseline needs a lease");
  story.tick({story.asked(1, 50 * kMega, std::chrono::hours(30))});
  EXPECT_TRUE(story.last.limits.empty());
}

// ---- what is known

TEST(SafetyKnowledge, OldDataDecideNothingNewButLoosen) {
  SafetyStory story;
  story.tick({story.asked(1, 50 * kMega)});
  const BootTime late = story.now() + seconds(4);
  story.ask({story.asked(1, 30 * kMega), story.asked(2, 30 * kMega)}, late);
  EXPECT_EQ(story.value(), 50 * kMega);
  EXPECT_EQ(story.steps(), "refused refused");
  story.ask({story.asked(1, 70 * kMega)}, late);
  EXPECT_EQ(story.value(), 70 * kMega);
  story.ask({}, late);
  EXPECT_EQ(story.steps(), "removed");
}

TEST(SafetyKnowledge, ABlindSourceDecidesNothingNewAboutIo) {
  for (const Source source : {Source::kTasks, Source::kBlockIo}) {
    for (const SourceState bad : {SourceState::kDegraded, SourceState::kBlind}) {
      SafetyStory story;
      story.snapshot.sources.at(static_cast<std::size_t>(source)).state = bad;
      story.tick({story.cut(1, 50 * kMega),
                  SafetyStory::limit(2, LimitKind::kReadBytes, 100 * kMega),
                  SafetyStory::limit(2, LimitKind::kMemoryHigh, 8ULL << 30U)});
      EXPECT_EQ(story.value(), 8ULL << 30U) << "of memory they tell nothing";
    }
  }
}

TEST(SafetyKnowledge, WithoutAnySnapshotWhatHoldsStays) {
  SafetyStory story;
  story.tick({story.asked(1, 50 * kMega), story.asked(2, 50 * kMega)});
  story.input.snapshot = nullptr;
  story.input.facts = nullptr;
  story.input.now = story.input.now + seconds(1);
  story.input.wanted.push_back(story.asked(3, 50 * kMega));
  const SafeLimits limits = make_safe(story.config, story.state, story.input);
  EXPECT_EQ(limits.limits.size(), 2U);
}

// ---- whose

TEST(SafetyCgroup, NeverOneThatIsNotTheVmsAlone) {
  struct Case {
    std::string unit;
    std::string path;
    std::optional<std::uint32_t> foreign = 0;
    std::optional<std::uint32_t> vms = 0;
  };
  for (const Case& bad : {Case{"hvguardd.service", "/system.slice/hvguardd.service"},
                          Case{"", "/system.slice/hvguardd.service/vm"},
                          Case{"", "/system.slice"},
                          Case{"", "/"},
                          Case{"", ""},
                          Case{"a.scope", ""},
                          Case{"init.scope", "/init.scope"},
                          Case{"vms.service", "/system.slice/vms.service", 1},
                          Case{"vms.service", "/system.slice/vms.service", 0, 1},
                          Case{"vms.service", "/system.slice/vms.service", std::nullopt},
                          Case{"vms.service", "/system.slice/vms.service", 0, std::nullopt}}) {
    SafetyStory story;
    story.vm(1).identity.unit = bad.unit;
    story.vm(1).identity.cgroup_path = bad.path;
    story.vm(1).topology.foreign_process_count = bad.foreign;
    story.vm(1).topology.other_vm_count = bad.vms;
    story.tick({SafetyStory::limit(1, LimitKind::kIoWeight, 50), story.cut(1, 50 * kMega)});
    EXPECT_TRUE(story.last.limits.empty()) << bad.unit << " " << bad.path;
  }
  SafetyStory story;
  story.vm(1).identity.unit = "";
  story.vm(1).identity.cgroup_path = "/system.slice/hvguardd.service-vms";
  story.tick({story.cut(1, 50 * kMega)});
  EXPECT_EQ(story.value(), 50 * kMega) << "a foreign cgroup that is another one";
}

TEST(SafetyCgroup, ProtectedUnitsGetNothingProtectedVmsTheirClass) {
  SafetyStory story;
  story.input.vms_in_protected_units = {SafetyStory::id(1)};
  story.input.protected_vms = {SafetyStory::id(2)};
  story.tick({SafetyStory::limit(1, LimitKind::kIoWeight, 50),
              story.cut(2, 50 * kMega),
              story.asked(2, 50 * kMega),
              SafetyStory::limit(2, LimitKind::kIoWeight, 500)});
  EXPECT_EQ(story.value(), 500U);
}

TEST(SafetyStopping, WhatIsGoneHasNoLimitWhoeverStillWantsOne) {
  SafetyStory story;
  const Limit weight = SafetyStory::limit(1, LimitKind::kIoWeight, 50);
  story.tick({weight});
  story.snapshot.vms.erase(story.snapshot.vms.begin());
  story.tick({weight});
  EXPECT_EQ(story.steps(), "removed");
  EXPECT_EQ(story.reason(), "the VM is gone");
}

TEST(SafetyStopping, AllGoesAtOnceAndNothingComesBack) {
  SafetyStory story;
  const std::vector<Limit> wanted = {story.cut(1, 50 * kMega),
                                     SafetyStory::limit(1, LimitKind::kMemoryHigh, 8ULL << 30U),
                                     SafetyStory::limit(2, LimitKind::kIoWeight, 50)};
  story.tick(wanted);
  ASSERT_EQ(story.last.limits.size(), 3U);
  story.input.stopping_vms = {SafetyStory::id(1)};
  story.tick(wanted);
  EXPECT_EQ(story.value(), 50U);
  EXPECT_EQ(story.steps(), "removed removed");
  story.input.stopping_vms.clear();
  story.tick(wanted);
  EXPECT_EQ(story.value(), 50U);
  story.snapshot.vms.erase(story.snapshot.vms.begin());
  story.tick(wanted);
  EXPECT_EQ(story.value(), 50U);
  EXPECT_TRUE(story.state.stopping.empty());
}

// ---- disks

TEST(SafetyWrite, OnlyWhereItIsAllowedAndNoJournalIsShared) {
  SafetyStory story;
  const Limit write = SafetyStory::limit(1, LimitKind::kWriteBytes, 50 * kMega);
  story.input.devices_without_shared_journal = {kDisk};
  story.tick({write});
  EXPECT_TRUE(story.last.limits.empty());
  story.config.allow_write_limits = true;
  story.input.devices_without_shared_journal = {};
  story.tick({write});
  EXPECT_TRUE(story.last.limits.empty()) << "whose journal is on it is not known";
  story.input.devices_without_shared_journal = {kOtherDisk};
  story.tick({write});
  EXPECT_TRUE(story.last.limits.empty());
  story.input.devices_without_shared_journal = {kDisk};
  story.tick({write});
  EXPECT_EQ(story.value(), 50 * kMega);
}

TEST(SafetySwap, NoneNearIt) {
  const auto granted_on = [](DeviceId device, std::vector<DeviceId> swap) {
    SafetyStory story;
    story.snapshot.host.swap_devices = std::move(swap);
    Limit cut = story.cut(1, 50 * kMega);
    cut.key.device = device;
    story.tick({cut});
    return story.value() != 0;
  };
  EXPECT_FALSE(granted_on(kDisk, {kDisk}));
  EXPECT_FALSE(granted_on(kVolume, {kDisk})) << "above it";
  EXPECT_FALSE(granted_on(kDisk, {kVolume})) << "beneath it";
  EXPECT_FALSE(granted_on(kVolume, {kSwapVolume})) << "systemd limits the disk they share";
  EXPECT_TRUE(granted_on(kOtherDisk, {kDisk, kSwapVolume}));
  EXPECT_TRUE(granted_on(kDisk, {{252, 0}})) << "zram";
}

TEST(SafetySwap, NothingNewWhileItIsNotKnown) {
  SafetyStory story;
  story.tick({story.cut(1, 50 * kMega)});
  story.snapshot.host.swap_devices.reset();
  story.tick({story.cut(1, 40 * kMega), story.cut(2, 40 * kMega)});
  EXPECT_EQ(story.value(), 50 * kMega);
  story.snapshot.host.swap_devices = {kVolume};
  story.tick({story.cut(1, 40 * kMega)});
  EXPECT_EQ(story.steps(), "removed");
}

// ---- memory and tasks

TEST(SafetyUse, NoLimitBelowWhatIsUsed) {
  for (const LimitKind kind : {LimitKind::kMemoryHigh, LimitKind::kMemoryMax}) {
    SafetyStory story;
    story.tick({SafetyStory::limit(1, kind, 1ULL << 29U)});
    EXPECT_TRUE(story.last.limits.empty());
    story.tick({SafetyStory::limit(1, kind, 2ULL << 30U)});
    EXPECT_EQ(story.value(), 2ULL << 30U);
    story.vm(1).cgroup->memory_bytes = 3ULL << 30U;
    story.tick({SafetyStory::limit(1, kind, 2ULL << 30U)});
    EXPECT_EQ(story.value(), 2ULL << 30U) << "it is reached: that is what it is for";
    story.tick({SafetyStory::limit(1, kind, 1ULL << 30U)});
    EXPECT_EQ(story.value(), 2ULL << 30U);
    story.vm(1).cgroup->memory_bytes.reset();
    story.tick({SafetyStory::limit(2, kind, 2ULL << 30U), SafetyStory::limit(1, kind, 1)});
    EXPECT_EQ(story.last.limits.size(), 2U);
    EXPECT_EQ(story.last.limits[0].value, 2ULL << 30U);
  }
}

TEST(SafetyUse, AWishThatMustWaitDoesNotTakeOverWhatAnotherHolds) {
  SafetyStory story;
  const Limit baseline = SafetyStory::limit(1, LimitKind::kMemoryHigh, 1ULL << 29U);
  Limit asked = story.asked(1, 2ULL << 30U, seconds(10));
  asked.key = baseline.key;
  for (int i = 0; i < 9; ++i) {
    story.tick({baseline, asked});
    ASSERT_EQ(story.last.limits.size(), 1U);
    EXPECT_EQ(story.last.limits[0].origin, LimitOrigin::kOperator);
  }
  story.tick({baseline, asked});
  EXPECT_TRUE(story.last.limits.empty()) << "its lease has ended";
}

TEST(SafetyUse, TasksAreLimitedByClassesOnlyAndNotBelowWhatRuns) {
  SafetyStory story;
  Limit asked = story.asked(1, 5000);
  asked.key = {.vm = SafetyStory::id(1), .kind = LimitKind::kPidsMax, .device = {}};
  story.tick({asked});
  EXPECT_TRUE(story.last.limits.empty());
  story.tick({SafetyStory::limit(1, LimitKind::kPidsMax, 99)});
  EXPECT_TRUE(story.last.limits.empty());
  story.tick({SafetyStory::limit(1, LimitKind::kPidsMax, 100)});
  EXPECT_EQ(story.value(), 100U);
}

}  // namespace
}  // namespace hvguard
