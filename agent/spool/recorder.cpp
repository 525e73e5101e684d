#include "spool/recorder.h"

#include <algorithm>
#include <cctype>
#include <utility>
#include <vector>

namespace hvguard::spool {
namespace {

constexpr std::size_t kMaxLabelBytes = 160;
constexpr std::size_t kMaxSummaryBytes = 512;

// hvguardd has made it safe; so only its length is ours, and a character is never cut in two.
std::string bounded(const std::string& text, std::size_t most) {
  if (text.size() <= most) {
    return text;
  }
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
    --end;
  }
  return text.substr(0, end);
}

// "KIND_HUNG_TASK" → "hung_task"
std::string word(const std::string& name, std::size_t prefix) {
  std::string out = name.substr(std::min(prefix, name.size()));
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  return out;
}

v1::RecordedIncident recorded(const v1::Incident& incident) {
  v1::RecordedIncident out;
  out.set_incident_id(bounded(incident.incident_id(), 64));
  out.set_kind(word(v1::Incident::Kind_Name(incident.kind()), sizeof("KIND_") - 1));
  out.set_severity(word(v1::Incident::Severity_Name(incident.severity()), sizeof("SEVERITY_") - 1));
  out.set_subject_label(bounded(incident.subject_label(), kMaxLabelBytes));
  out.set_summary(bounded(incident.summary(), kMaxSummaryBytes));
  *out.mutable_event_time() = incident.event_time();
  return out;
}

v1::RecordedFigures figures_of(const v1::Status& status) {
  v1::RecordedFigures out;
  const v1::HostStatus& host = status.host();
  *out.mutable_observe_time() = status.observe_time();
  out.set_vm_count(status.counts().vm_count());
  if (status.counts().has_blocked_task_count()) {
    out.set_blocked_task_count(status.counts().blocked_task_count());
  }
  if (!host.load_averages().empty()) {
    out.set_load_average(host.load_averages(0));
  }
  if (host.has_memory_available_bytes()) {
    out.set_memory_available_bytes(host.memory_available_bytes());
  }
  if (host.io_pressure().has_full_ratio()) {
    out.set_io_full_ratio(host.io_pressure().full_ratio());
  }
  if (host.memory_pressure().has_full_ratio()) {
    out.set_memory_full_ratio(host.memory_pressure().full_ratio());
  }
  return out;
}

bool is_worse(const v1::Incident* a, const v1::Incident* b) {
  if (a->severity() != b->severity()) {
    return a->severity() > b->severity();
  }
  return a->event_time().seconds() < b->event_time().seconds();
}

}  // namespace

v1::BootRecord previous_boot(const LoadedRecord& found, const std::string& boot_id) {
  v1::BootRecord previous;
  if (!found.damage.empty()) {
    previous.set_state(v1::BootRecord::STATE_UNREADABLE);
    previous.set_detail(found.damage);
    return previous;
  }
  if (found.record && found.record->this_boot().boot_id() == boot_id) {
    previous = found.record->previous_boot();
  } else if (found.record) {
    previous = found.record->this_boot();
  }
  if (previous.state() == v1::BootRecord::STATE_UNSPECIFIED) {
    previous.set_state(v1::BootRecord::STATE_NO_RECORD);
  }
  return previous;
}

Recorder::Recorder(std::string boot_id, v1::BootRecord previous_boot)
    : previous_(std::move(previous_boot)) {
  this_boot_.set_boot_id(std::move(boot_id));
  this_boot_.set_version(HVGUARD_VERSION);
}

void Recorder::take(const link::Frame& frame) {
  std::set<std::string> ids;
  std::vector<const v1::Incident*> open;
  for (const v1::Incident& incident : frame.incidents) {
    if (incident.state() == v1::Incident::STATE_OPEN) {
      ids.insert(incident.incident_id());
      open.push_back(&incident);
    }
  }
  changed_ = changed_ || ids != open_ids_;
  open_ids_ = std::move(ids);

  const std::size_t kept = std::min(open.size(), kMaxRecordedIncidents);
  std::partial_sort(
      open.begin(), open.begin() + static_cast<std::ptrdiff_t>(kept), open.end(), is_worse);
  this_boot_.clear_incidents();
  for (std::size_t i = 0; i < kept; ++i) {
    *this_boot_.add_incidents() = recorded(*open[i]);
  }
  this_boot_.set_left_out_incident_count(static_cast<std::uint32_t>(open.size() - kept));
  *this_boot_.mutable_figures() = figures_of(frame.status);
}

BootTime Recorder::next_due() const {
  if (!last_record_) {
    return {};
  }
  return *last_record_ + (changed_ ? kRecordApart : kRecordEvery);
}

v1::BootRecordFile Recorder::record(v1::BootRecord::State state, const Moment& now) {
  last_record_ = now.boot;
  changed_ = false;
  this_boot_.set_state(state);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now.wall.since_epoch);
  this_boot_.mutable_last_seen_time()->set_seconds(seconds.count());
  this_boot_.mutable_last_seen_time()->set_nanos(
      static_cast<std::int32_t>((now.wall.since_epoch - seconds).count()));
  this_boot_.mutable_uptime_duration()->set_seconds(
      std::chrono::floor<std::chrono::seconds>(now.boot.since_boot).count());
  v1::BootRecordFile out;
  *out.mutable_this_boot() = this_boot_;
  *out.mutable_previous_boot() = previous_;
  return out;
}

}  // namespace hvguard::spool
