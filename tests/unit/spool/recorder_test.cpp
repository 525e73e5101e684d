#include "spool/recorder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace hvguard::spool {
namespace {

using std::chrono::seconds;

constexpr const char* kThisBoot = "11111111-0000-4000-8000-000000000001";
constexpr const char* kOtherBoot = "22222222-0000-4000-8000-000000000002";

Moment at(int boot_seconds) {
  return {{seconds(boot_seconds)}, {seconds(1'700'000'000 + boot_seconds)}};
}

v1::Incident incident(int number, v1::Incident::Severity severity, bool open = true) {
  v1::Incident out;
  out.set_incident_id(fmt::format("1a-{}-11111111", number));
  out.set_kind(v1::Incident::KIND_HUNG_TASK);
  out.set_state(open ? v1::Incident::STATE_OPEN : v1::Incident::STATE_RESOLVED);
  out.set_severity(severity);
  out.set_summary(fmt::format("trouble {}", number));
  out.mutable_event_time()->set_seconds(1'700'000'000 + number);
  return out;
}

link::Frame frame(std::vector<v1::Incident> incidents) {
  link::Frame out;
  out.incidents = std::move(incidents);
  out.status.mutable_counts()->set_vm_count(37);
  out.status.mutable_host()->add_load_averages(412.5);
  out.status.mutable_host()->mutable_io_pressure()->set_full_ratio(0.97);
  return out;
}

v1::BootRecordFile record_of(const std::string& boot, v1::BootRecord::State state) {
  v1::BootRecordFile out;
  out.mutable_this_boot()->set_boot_id(boot);
  out.mutable_this_boot()->set_state(state);
  out.mutable_previous_boot()->set_state(v1::BootRecord::STATE_SHUTDOWN);
  out.mutable_previous_boot()->set_boot_id("33333333-0000-4000-8000-000000000003");
  return out;
}

Recorder recorder() {
  return {kThisBoot, v1::BootRecord()};
}

TEST(PreviousBoot, IsWhatTheRecordOfAnotherBootSays) {
  const auto previous =
      previous_boot({record_of(kOtherBoot, v1::BootRecord::STATE_RUNNING), ""}, kThisBoot);
  EXPECT_EQ(previous.state(), v1::BootRecord::STATE_RUNNING);
  EXPECT_EQ(previous.boot_id(), kOtherBoot);
}

// A restart of hvguard-spool finds its own record, and must not forget the boot before.
TEST(PreviousBoot, SurvivesARestartInTheSameBoot) {
  const auto previous =
      previous_boot({record_of(kThisBoot, v1::BootRecord::STATE_STOPPED), ""}, kThisBoot);
  EXPECT_EQ(previous.state(), v1::BootRecord::STATE_SHUTDOWN);
  EXPECT_EQ(previous.boot_id(), "33333333-0000-4000-8000-000000000003");
}

TEST(PreviousBoot, NoneAndDamagedAreToldApart) {
  EXPECT_EQ(previous_boot({}, kThisBoot).state(), v1::BootRecord::STATE_NO_RECORD);
  const auto damaged = previous_boot({std::nullopt, "its checksum is wrong"}, kThisBoot);
  EXPECT_EQ(damaged.state(), v1::BootRecord::STATE_UNREADABLE);
  EXPECT_EQ(damaged.detail(), "its checksum is wrong");
  EXPECT_EQ(damaged.boot_id(), "");
}

TEST(Recorder, RecordsOnceAMinute) {
  Recorder keeper = recorder();
  EXPECT_LE(keeper.next_due(), at(10).boot);
  const auto record = keeper.record(v1::BootRecord::STATE_RUNNING, at(10)).this_boot();
  EXPECT_EQ(record.state(), v1::BootRecord::STATE_RUNNING);
  EXPECT_EQ(record.boot_id(), kThisBoot);
  EXPECT_EQ(record.last_seen_time().seconds(), 1'700'000'010);
  EXPECT_EQ(record.uptime_duration().seconds(), 10);
  EXPECT_EQ(record.version(), HVGUARD_VERSION);
  EXPECT_FALSE(record.has_figures()) << "hvguardd has said nothing";
  EXPECT_EQ(keeper.next_due(), at(70).boot);
}

TEST(Recorder, RecordsSoonWhenAnIncidentOpensOrResolves) {
  Recorder keeper = recorder();
  static_cast<void>(keeper.record(v1::BootRecord::STATE_RUNNING, at(10)));
  keeper.take(frame({}));
  EXPECT_EQ(keeper.next_due(), at(70).boot);
  keeper.take(frame({incident(1, v1::Incident::SEVERITY_WARNING)}));
  EXPECT_EQ(keeper.next_due(), at(15).boot);
  static_cast<void>(keeper.record(v1::BootRecord::STATE_RUNNING, at(15)));
  keeper.take(frame({incident(1, v1::Incident::SEVERITY_CRITICAL)}));
  EXPECT_EQ(keeper.next_due(), at(75).boot) << "the same incident, only worse";
  keeper.take(frame({incident(1, v1::Incident::SEVERITY_CRITICAL, false)}));
  EXPECT_EQ(keeper.next_due(), at(20).boot);
}

TEST(Recorder, HoldsTheWorstIncidentsAndCountsTheRest) {
  Recorder keeper = recorder();
  std::vector<v1::Incident> incidents;
  for (int i = 1; i <= 20; ++i) {
    incidents.push_back(incident(i, v1::Incident::SEVERITY_WARNING));
  }
  incidents.push_back(incident(21, v1::Incident::SEVERITY_CRITICAL));
  incidents.push_back(incident(22, v1::Incident::SEVERITY_CRITICAL, false));
  incidents[0].set_summary(std::string(511, 'x') + "äää");
  keeper.take(frame(incidents));
  const auto record = keeper.record(v1::BootRecord::STATE_RUNNING, at(10)).this_boot();
  ASSERT_EQ(record.incidents_size(), 16);
  EXPECT_EQ(record.left_out_incident_count(), 5U);
  EXPECT_EQ(record.incidents(0).incident_id(), "1a-21-11111111");
  EXPECT_EQ(record.incidents(0).kind(), "hung_task");
  EXPECT_EQ(record.incidents(0).severity(), "critical");
  EXPECT_EQ(record.incidents(1).summary(), std::string(511, 'x')) << "no half characters";
  EXPECT_EQ(record.incidents(1).event_time().seconds(), 1'700'000'001);
  EXPECT_EQ(record.figures().vm_count(), 37U);
  EXPECT_EQ(record.figures().load_average(), 412.5);
  EXPECT_EQ(record.figures().io_full_ratio(), 0.97);
  EXPECT_FALSE(record.figures().has_memory_full_ratio());
}

// hvguardd takes at most 32 KiB.
TEST(Recorder, TheLargestRecordFitsIntoARequest) {
  Recorder keeper = recorder();
  std::vector<v1::Incident> incidents;
  for (int i = 1; i <= 20; ++i) {
    incidents.push_back(incident(i, v1::Incident::SEVERITY_WARNING));
    incidents.back().set_incident_id(std::string(5000, 'i'));
    incidents.back().set_subject_label(std::string(5000, 'l'));
    incidents.back().set_summary(std::string(5000, 's'));
  }
  keeper.take(frame(incidents));
  auto record = keeper.record(v1::BootRecord::STATE_RUNNING, at(10)).this_boot();
  for (int i = 0; i < 16; ++i) {
    record.mutable_pstore()->add_files()->set_path(std::string(160, 'p'));
  }
  EXPECT_LT(record.ByteSizeLong(), 24'000U);
}

}  // namespace
}  // namespace hvguard::spool
