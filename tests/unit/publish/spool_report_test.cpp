#include "publish/spool_report.h"

#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "publish/to_proto.h"

namespace hvguard::publish {
namespace {

using std::chrono::seconds;

BootRecord sample() {
  BootRecord record;
  record.state = BootState::kRunning;
  record.boot_id = "6c1b3f0e-0000-4000-8000-000000000001";
  record.last_seen = WallTime{seconds(1'700'000'000) + Nanoseconds(5)};
  record.uptime = seconds(100);
  record.version = "0.1.0";
  record.incidents = {{.id = "1a-1-6c1b3f0e",
                       .kind = "hung_task",
                       .severity = "critical",
                       .subject_label = "machine-qemu\\x2d1.scope",
                       .summary = "12 tasks wait for sda",
                       .event_time = WallTime{seconds(1'699'999'000)}}};
  record.left_out_incident_count = 3;
  record.figures = RecordedFigures{.observe_time = WallTime{seconds(1'699'999'999)},
                                   .vm_count = 37,
                                   .blocked_task_count = 12,
                                   .load_average = 412.5,
                                   .memory_available_bytes = 1 << 30,
                                   .io_full_ratio = 0.97,
                                   .memory_full_ratio = 0};
  record.pstore = {.files = {{.path = "/sys/fs/pstore/dmesg-ramoops-0",
                              .size_bytes = 10'000,
                              .modify_time = WallTime{seconds(1'700'000'010)}}},
                   .left_out_file_count = 1,
                   .telling_line = "Kernel panic - not syncing: hung_task: blocked tasks",
                   .error = "read x: Input/output error"};
  record.detail = "";
  return record;
}

v1::AttachSpool attach(const BootRecord& record = sample()) {
  v1::AttachSpool out;
  *out.mutable_previous_boot() = to_proto(record);
  return out;
}

std::string refusal(const v1::AttachSpool& from) {
  const auto report = spool_report_from_proto(from);
  return report ? "" : report.error().message;
}

TEST(SpoolReport, WhatIsRightArrivesWhole) {
  v1::AttachSpool from = attach();
  from.set_record_error("No space left on device");
  const auto report = spool_report_from_proto(from);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->previous_boot, sample());
  EXPECT_EQ(report->record_error, "No space left on device");
  EXPECT_EQ(to_proto(report->previous_boot).SerializeAsString(),
            from.previous_boot().SerializeAsString());
}

TEST(SpoolReport, EveryStateHasItsProto) {
  for (int i = 0; i < 5; ++i) {
    const auto state = static_cast<BootState>(i);
    EXPECT_EQ(to_proto(state), i + 1);
    BootRecord record;
    record.state = state;
    if (state != BootState::kNoRecord && state != BootState::kUnreadable) {
      record.boot_id = sample().boot_id;
    }
    EXPECT_EQ(spool_report_from_proto(attach(record)).value().previous_boot.state, state);
  }
  EXPECT_EQ(v1::BootRecord::State_descriptor()->value_count(), 6);
}

TEST(SpoolReport, WhatDoesNotFitRefusesTheWhole) {
  EXPECT_NE(refusal(v1::AttachSpool()), "");
  v1::AttachSpool from = attach();
  from.mutable_previous_boot()->set_state(static_cast<v1::BootRecord::State>(77));
  EXPECT_NE(refusal(from), "");
  for (const char* const id : {"",
                               "6c1b3f0e",
                               "6C1B3F0E-0000-4000-8000-000000000001",
                               "6c1b3f0e-0000-4000-8000-00000000000\n",
                               "6c1b3f0e00000-4000-8000-000000000001"}) {
    from = attach();
    from.mutable_previous_boot()->set_boot_id(id);
    EXPECT_EQ(refusal(from), "the record of the boot before: its boot id does not fit its state")
        << id;
  }
  from = attach();
  for (int i = 0; i < 16; ++i) {
    from.mutable_previous_boot()->add_incidents();
  }
  EXPECT_EQ(refusal(from), "the record of the boot before: at most 16 incidents");
  from = attach();
  for (int i = 0; i < 16; ++i) {
    from.mutable_previous_boot()->mutable_pstore()->add_files();
  }
  EXPECT_EQ(refusal(from), "the record of the boot before: at most 16 files of pstore");
}

TEST(SpoolReport, TimesAndFiguresThatCannotBeAreAbsent) {
  v1::AttachSpool from = attach();
  auto& boot = *from.mutable_previous_boot();
  boot.mutable_last_seen_time()->set_seconds(std::numeric_limits<std::int64_t>::max());
  boot.mutable_uptime_duration()->set_seconds(-1);
  boot.mutable_incidents(0)->mutable_event_time()->set_nanos(-1);
  boot.mutable_pstore()->mutable_files(0)->mutable_modify_time()->set_seconds(0);
  boot.mutable_figures()->set_load_average(std::numeric_limits<double>::quiet_NaN());
  boot.mutable_figures()->set_io_full_ratio(1.5);
  boot.mutable_figures()->set_memory_full_ratio(-std::numeric_limits<double>::infinity());
  const BootRecord record = spool_report_from_proto(from).value().previous_boot;
  EXPECT_FALSE(record.last_seen);
  EXPECT_FALSE(record.uptime);
  EXPECT_FALSE(record.incidents[0].event_time);
  EXPECT_FALSE(record.pstore.files[0].modify_time);
  EXPECT_FALSE(record.figures->load_average);
  EXPECT_FALSE(record.figures->io_full_ratio);
  EXPECT_FALSE(record.figures->memory_full_ratio);
}

TEST(SpoolReport, TextIsMadeSafeAndBounded) {
  v1::AttachSpool from = attach();
  auto& boot = *from.mutable_previous_boot();
  const std::string hostile = "\x1b[2J\n" + std::string(3000, 'x');
  boot.set_version(hostile);
  boot.set_detail(hostile);
  boot.mutable_pstore()->set_telling_line(hostile);
  boot.mutable_pstore()->set_error(hostile);
  boot.mutable_pstore()->mutable_files(0)->set_path(hostile);
  auto& incident = *boot.mutable_incidents(0);
  incident.set_incident_id(hostile);
  incident.set_kind(hostile);
  incident.set_severity(hostile);
  incident.set_subject_label(hostile);
  incident.set_summary(hostile);
  from.set_record_error(hostile);
  const SpoolReport report = spool_report_from_proto(from).value();
  const BootRecord& record = report.previous_boot;
  for (const std::string* const text : {&record.version,
                                        &record.detail,
                                        &record.pstore.telling_line,
                                        &record.pstore.error,
                                        &record.pstore.files[0].path,
                                        &record.incidents[0].id,
                                        &record.incidents[0].kind,
                                        &record.incidents[0].severity,
                                        &record.incidents[0].subject_label,
                                        &record.incidents[0].summary,
                                        &report.record_error}) {
    EXPECT_LE(text->size(), 512U);
    EXPECT_TRUE(text->starts_with("\\x1b[2J\\x0axxx")) << *text;
  }
}

TEST(UncleanReboot, EvidenceIsPublished) {
  Incident incident;
  incident.kind = IncidentKind::kUncleanReboot;
  incident.evidence = UncleanRebootEvidence{
      .previous_boot = std::make_shared<const BootRecord>(sample()), .down_time = seconds(200)};
  const auto out = to_proto(incident, ClockPair{}, DeviceNames{});
  EXPECT_EQ(out.kind(), v1::Incident::KIND_UNCLEAN_REBOOT);
  const auto& evidence = out.evidence().unclean_reboot();
  EXPECT_EQ(evidence.down_duration().seconds(), 200);
  EXPECT_EQ(evidence.previous_boot().SerializeAsString(), to_proto(sample()).SerializeAsString());
}

}  // namespace
}  // namespace hvguard::publish
