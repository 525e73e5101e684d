#include "publish/spool_report.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "publish/safe_line.h"
#include "publish/to_proto.h"

namespace hvguard::publish {
namespace {

constexpr std::size_t kMaxWordBytes = 64;
constexpr std::size_t kMaxPathBytes = 160;
constexpr std::size_t kMaxSentenceBytes = 512;
constexpr std::size_t kBootIdBytes = 36;
// 2000-01-01 to 2200-01-01: a wall clock outside is not set, and what follows from it is nonsense.
constexpr std::int64_t kMinSeconds = 946'684'800;
constexpr std::int64_t kMaxSeconds = 7'258'118'400;
constexpr std::int64_t kMaxUptimeSeconds = 100LL * 366 * 86'400;
constexpr std::int32_t kNanosPerSecond = 1'000'000'000;

std::optional<WallTime> wall_time_of(bool is_set, const google::protobuf::Timestamp& time) {
  if (!is_set || time.seconds() < kMinSeconds || time.seconds() > kMaxSeconds || time.nanos() < 0 ||
      time.nanos() >= kNanosPerSecond) {
    return std::nullopt;
  }
  return WallTime{std::chrono::seconds(time.seconds()) + Nanoseconds(time.nanos())};
}

std::optional<Nanoseconds> span_of(bool is_set, const google::protobuf::Duration& span) {
  if (!is_set || span.seconds() < 0 || span.seconds() > kMaxUptimeSeconds || span.nanos() < 0 ||
      span.nanos() >= kNanosPerSecond) {
    return std::nullopt;
  }
  return std::chrono::seconds(span.seconds()) + Nanoseconds(span.nanos());
}

std::optional<double> figure_of(bool is_set, double value, double most) {
  return is_set && value >= 0 && value <= most ? std::optional(value) : std::nullopt;
}

std::optional<BootState> state_of(v1::BootRecord::State state) {
  constexpr std::array kAll = {BootState::kNoRecord,
                               BootState::kRunning,
                               BootState::kStopped,
                               BootState::kShutdown,
                               BootState::kUnreadable};
  const auto* const found =
      std::find_if(kAll.begin(), kAll.end(), [&](BootState one) { return to_proto(one) == state; });
  return found == kAll.end() ? std::nullopt : std::optional(*found);
}

// The form of /proc/sys/kernel/random/boot_id.
bool is_boot_id(std::string_view text) {
  if (text.size() != kBootIdBytes) {
    return false;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const char c = text[i];
    if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
      return false;
    }
  }
  return true;
}

RecordedIncident incident_of(const v1::RecordedIncident& from) {
  return {.id = safe_line(from.incident_id(), kMaxWordBytes),
          .kind = safe_line(from.kind(), kMaxWordBytes),
          .severity = safe_line(from.severity(), kMaxWordBytes),
          .subject_label = safe_line(from.subject_label(), kMaxPathBytes),
          .summary = safe_line(from.summary(), kMaxSentenceBytes),
          .event_time = wall_time_of(from.has_event_time(), from.event_time())};
}

RecordedFigures figures_of(const v1::RecordedFigures& from) {
  RecordedFigures to;
  to.observe_time = wall_time_of(from.has_observe_time(), from.observe_time());
  to.vm_count = from.vm_count();
  if (from.has_blocked_task_count()) {
    to.blocked_task_count = from.blocked_task_count();
  }
  to.load_average = figure_of(from.has_load_average(), from.load_average(), 1e9);
  if (from.has_memory_available_bytes()) {
    to.memory_available_bytes = from.memory_available_bytes();
  }
  to.io_full_ratio = figure_of(from.has_io_full_ratio(), from.io_full_ratio(), 1);
  to.memory_full_ratio = figure_of(from.has_memory_full_ratio(), from.memory_full_ratio(), 1);
  return to;
}

Pstore pstore_of(const v1::Pstore& from) {
  Pstore to;
  for (const v1::PstoreFile& file : from.files()) {
    to.files.push_back({.path = safe_line(file.path(), kMaxPathBytes),
                        .size_bytes = file.size_bytes(),
                        .modify_time = wall_time_of(file.has_modify_time(), file.modify_time())});
  }
  to.left_out_file_count = from.left_out_file_count();
  to.telling_line = safe_line(from.telling_line(), kMaxSentenceBytes);
  to.error = safe_line(from.error(), kMaxSentenceBytes);
  return to;
}

tl::unexpected<Error> wrong(std::string_view what) {
  return fail(Errc::kInvalid, fmt::format("the record of the boot before: {}", what));
}

v1::Pstore to_proto(const Pstore& pstore) {
  v1::Pstore out;
  for (const PstoreFile& file : pstore.files) {
    v1::PstoreFile& to = *out.add_files();
    to.set_path(file.path);
    to.set_size_bytes(file.size_bytes);
    if (file.modify_time) {
      *to.mutable_modify_time() = publish::to_proto(*file.modify_time);
    }
  }
  out.set_left_out_file_count(pstore.left_out_file_count);
  out.set_telling_line(pstore.telling_line);
  out.set_error(pstore.error);
  return out;
}

v1::RecordedFigures to_proto(const RecordedFigures& figures) {
  v1::RecordedFigures out;
  if (figures.observe_time) {
    *out.mutable_observe_time() = publish::to_proto(*figures.observe_time);
  }
  out.set_vm_count(figures.vm_count);
  if (figures.blocked_task_count) {
    out.set_blocked_task_count(*figures.blocked_task_count);
  }
  if (figures.load_average) {
    out.set_load_average(*figures.load_average);
  }
  if (figures.memory_available_bytes) {
    out.set_memory_available_bytes(*figures.memory_available_bytes);
  }
  if (figures.io_full_ratio) {
    out.set_io_full_ratio(*figures.io_full_ratio);
  }
  if (figures.memory_full_ratio) {
    out.set_memory_full_ratio(*figures.memory_full_ratio);
  }
  return out;
}

v1::RecordedIncident to_proto(const RecordedIncident& incident) {
  v1::RecordedIncident out;
  out.set_incident_id(incident.id);
  out.set_kind(incident.kind);
  out.set_severity(incident.severity);
  out.set_subject_label(incident.subject_label);
  out.set_summary(incident.summary);
  if (incident.event_time) {
    *out.mutable_event_time() = publish::to_proto(*incident.event_time);
  }
  return out;
}

}  // namespace

v1::BootRecord::State to_proto(BootState state) {
  switch (state) {
    case BootState::kNoRecord:
      return v1::BootRecord::STATE_NO_RECORD;
    case BootState::kRunning:
      return v1::BootRecord::STATE_RUNNING;
    case BootState::kStopped:
      return v1::BootRecord::STATE_STOPPED;
    case BootState::kShutdown:
      return v1::BootRecord::STATE_SHUTDOWN;
    case BootState::kUnreadable:
      return v1::BootRecord::STATE_UNREADABLE;
  }
  return v1::BootRecord::STATE_UNSPECIFIED;
}

Result<SpoolReport> spool_report_from_proto(const v1::AttachSpool& from) {
  const v1::BootRecord& record = from.previous_boot();
  const auto state = state_of(record.state());
  if (!state) {
    return wrong("it has no state that is known here");
  }
  if (record.incidents_size() > static_cast<int>(kMaxRecordedIncidents)) {
    return wrong(fmt::format("at most {} incidents", kMaxRecordedIncidents));
  }
  if (record.pstore().files_size() > static_cast<int>(kMaxPstoreFiles)) {
    return wrong(fmt::format("at most {} files of pstore", kMaxPstoreFiles));
  }
  const bool ended = *state == BootState::kRunning || *state == BootState::kStopped ||
                     *state == BootState::kShutdown;
  if (ended ? !is_boot_id(record.boot_id()) : !record.boot_id().empty()) {
    return wrong("its boot id does not fit its state");
  }
  SpoolReport report;
  report.record_error = safe_line(from.record_error(), kMaxSentenceBytes);
  BootRecord& to = report.previous_boot;
  to.state = *state;
  to.boot_id = record.boot_id();
  to.last_seen = wall_time_of(record.has_last_seen_time(), record.last_seen_time());
  to.uptime = span_of(record.has_uptime_duration(), record.uptime_duration());
  to.version = safe_line(record.version(), kMaxWordBytes);
  for (const v1::RecordedIncident& incident : record.incidents()) {
    to.incidents.push_back(incident_of(incident));
  }
  to.left_out_incident_count = record.left_out_incident_count();
  if (record.has_figures()) {
    to.figures = figures_of(record.figures());
  }
  to.pstore = pstore_of(record.pstore());
  to.detail = safe_line(record.detail(), kMaxSentenceBytes);
  return report;
}

v1::BootRecord to_proto(const BootRecord& record) {
  v1::BootRecord out;
  out.set_state(to_proto(record.state));
  out.set_boot_id(record.boot_id);
  if (record.last_seen) {
    *out.mutable_last_seen_time() = to_proto(*record.last_seen);
  }
  if (record.uptime) {
    *out.mutable_uptime_duration() = to_proto(*record.uptime);
  }
  out.set_version(record.version);
  for (const RecordedIncident& incident : record.incidents) {
    *out.add_incidents() = to_proto(incident);
  }
  out.set_left_out_incident_count(record.left_out_incident_count);
  if (record.figures) {
    *out.mutable_figures() = to_proto(*record.figures);
  }
  *out.mutable_pstore() = to_proto(record.pstore);
  out.set_detail(record.detail);
  return out;
}

}  // namespace hvguard::publish
