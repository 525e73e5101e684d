#include "detect/unclean_reboot.h"

#include <gtest/gtest.h>

#include "detect/detectors.h"
#include "host/host.h"

namespace hvguard {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using test::Host;

// The host has run for 1000 s, by its wall clock since 1.7e9 s.
constexpr WallTime kBooted{seconds(1'700'000'000)};

BootRecord sample() {
  BootRecord record;
  record.state = BootState::kRunning;
  record.boot_id = "aaaaaaaa-0000-4000-8000-000000000000";
  record.last_seen = WallTime{kBooted.since_epoch - seconds(200)};
  return record;
}

class UncleanReboot : public ::testing::Test {
 protected:
  std::optional<Finding> judge() {
    Snapshot snapshot = *host.snapshot();
    snapshot.wall_time.since_epoch += wall_step;
    snapshot.previous_boot = std::make_shared<const BootRecord>(record);
    return detect_unclean_reboot(config, state, snapshot);
  }

  Host host;
  BootRecord record = sample();
  UncleanRebootConfig config;
  UncleanRebootState state;
  Nanoseconds wall_step{0};
};

TEST_F(UncleanReboot, RunningAndAnotherBootIsOne) {
  record.pstore.telling_line = "Kernel panic - not syncing: hung_task: blocked tasks";
  record.incidents.resize(1);
  record.left_out_incident_count = 2;
  const auto finding = judge();
  ASSERT_TRUE(finding);
  EXPECT_EQ(finding->kind, IncidentKind::kUncleanReboot);
  EXPECT_EQ(finding->subject.key, "host");
  EXPECT_EQ(finding->severity, Severity::kWarning);
  EXPECT_EQ(finding->event_time, BootTime{-seconds(200)});
  EXPECT_EQ(
      finding->summary,
      "The host went down without a clean stop and came back after 3 min 20 s: Kernel panic - "
      "not syncing: hung_task: blocked tasks; 3 incidents were open then.");
  const auto& evidence = std::get<UncleanRebootEvidence>(finding->evidence);
  EXPECT_EQ(evidence.down_time, seconds(200));
  EXPECT_EQ(*evidence.previous_boot, record);
}

TEST_F(UncleanReboot, WithoutPstoreItSaysSo) {
  EXPECT_EQ(judge().value().summary,
            "The host went down without a clean stop and came back after 3 min 20 s; the kernel "
            "left no panic message.");
}

TEST_F(UncleanReboot, NoOtherLastWordIsOne) {
  for (const BootState other :
       {BootState::kNoRecord, BootState::kStopped, BootState::kShutdown, BootState::kUnreadable}) {
    record.state = other;
    EXPECT_FALSE(judge());
  }
}

TEST_F(UncleanReboot, TheRecordOfThisBootIsNone) {
  record.boot_id = Host::kBootId;
  EXPECT_FALSE(judge());
}

TEST_F(UncleanReboot, NoRecordYetIsNone) {
  EXPECT_FALSE(detect_unclean_reboot(config, state, *host.snapshot()));
}

TEST_F(UncleanReboot, EndsSomeTimeAfterTheBoot) {
  config.open_for = minutes(20);
  EXPECT_TRUE(judge());
  host.advance(seconds(199));
  EXPECT_TRUE(judge());
  host.advance(seconds(1));
  EXPECT_FALSE(judge());
}

TEST_F(UncleanReboot, AClockThatWasSetBackGivesNoDowntime) {
  record.last_seen = WallTime{kBooted.since_epoch + seconds(1)};
  const auto finding = judge();
  ASSERT_TRUE(finding);
  EXPECT_EQ(finding->event_time, BootTime{}) << "at the latest when this boot began";
  EXPECT_FALSE(std::get<UncleanRebootEvidence>(finding->evidence).down_time);
  EXPECT_EQ(finding->summary,
            "The host went down without a clean stop; the kernel left no panic message.");
  record.last_seen.reset();
  EXPECT_FALSE(std::get<UncleanRebootEvidence>(judge()->evidence).down_time);
}

// NTP sets the clock some time after the boot; the incident must not change with it.
TEST_F(UncleanReboot, AClockThatIsSetLaterChangesNothing) {
  const auto before = judge();
  wall_step = hours(5);
  const auto after = judge();
  ASSERT_TRUE(before && after);
  EXPECT_EQ(before->event_time, after->event_time);
  EXPECT_EQ(before->summary, after->summary);
  EXPECT_EQ(before->evidence, after->evidence);
}

TEST_F(UncleanReboot, ADifferentRecordIsAnotherEvidence) {
  const auto before = judge();
  record.pstore.telling_line = "Kernel panic - not syncing: other";
  EXPECT_NE(before->evidence, judge()->evidence);
}

// While hvguard-spool has not spoken its kind is held, so that a restart clears nothing.
TEST_F(UncleanReboot, IsHeldWhileTheSourceSaysNothing) {
  DetectorsState detectors;
  const auto held = [&] {
    const auto snapshot = host.snapshot();
    const auto out = run_detectors(Config(), detectors, *snapshot, Facts());
    return out.held.at(static_cast<std::size_t>(IncidentKind::kUncleanReboot));
  };
  EXPECT_FALSE(held());
  for (const SourceState silent : {SourceState::kUnknown, SourceState::kBlind}) {
    host.set_source(Source::kPreviousBoot, silent, "silent");
    EXPECT_TRUE(held());
  }
}

}  // namespace
}  // namespace hvguard
