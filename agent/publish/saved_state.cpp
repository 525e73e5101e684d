#include "publish/saved_state.h"

#include <algorithm>
#include <cerrno>
#include <optional>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "publish/safe_line.h"
#include "publish/to_proto.h"

namespace hvguard::publish {
namespace {

// The enumerator whose published value is `value`; none if there is no such one.
template <class Enum, class Value>
std::optional<Enum> from_proto(Value value, std::initializer_list<Enum> all) {
  for (const Enum candidate : all) {
    if (to_proto(candidate) == value) {
      return candidate;
    }
  }
  return std::nullopt;
}

std::optional<Severity> severity_from(v1::Incident::Severity value) {
  return from_proto(value, {Severity::kInfo, Severity::kWarning, Severity::kCritical});
}

std::optional<IncidentKind> kind_from(v1::Incident::Kind value) {
  for (std::size_t i = 0; i < kIncidentKindCount; ++i) {
    if (to_proto(static_cast<IncidentKind>(i)) == value) {
      return static_cast<IncidentKind>(i);
    }
  }
  return std::nullopt;
}

BootTime boot_time_of(std::int64_t nanoseconds) {
  return {Nanoseconds(nanoseconds)};
}

WallTime wall_time_of(const google::protobuf::Timestamp& time) {
  constexpr std::int64_t kMostSeconds = 9'000'000'000;  // still fits in nanoseconds
  const auto seconds = std::clamp<std::int64_t>(time.seconds(), 0, kMostSeconds);
  return {std::chrono::seconds(seconds) + Nanoseconds(time.nanos())};
}

// None if a field that identifies the incident is missing or unknown.
std::optional<Incident> restore_incident(const v1::SavedIncident& saved) {
  const v1::Incident& from = saved.incident();
  const auto kind = kind_from(from.kind());
  const auto severity = severity_from(from.severity());
  const auto peak = severity_from(from.peak_severity());
  const auto state = from_proto(from.state(), {IncidentState::kOpen, IncidentState::kResolved});
  if (!kind || !severity || !peak || !state || from.incident_id().empty() ||
      from.subject_key().empty() ||
      (*state == IncidentState::kResolved) != saved.has_resolve_boot_ns()) {
    return std::nullopt;
  }
  Incident to;
  to.id = from.incident_id();
  to.kind = *kind;
  to.state = *state;
  to.severity = *severity;
  to.peak_severity = *peak;
  to.subject.key = from.subject_key();
  to.subject.label = from.subject_label();
  if (!from.vm_id().empty()) {
    const auto vm = parse_vm_id(from.vm_id());
    if (!vm) {
      return std::nullopt;
    }
    to.subject.vm = *vm;
  }
  if (from.has_device()) {
    to.subject.device = DeviceId{from.device().major(), from.device().minor()};
  }
  to.summary = from.summary();
  to.event_time = boot_time_of(saved.event_boot_ns());
  to.detect_time = boot_time_of(saved.detect_boot_ns());
  if (saved.has_decide_boot_ns()) {
    to.decide_time = boot_time_of(saved.decide_boot_ns());
  }
  if (saved.has_resolve_boot_ns()) {
    to.resolve_time = boot_time_of(saved.resolve_boot_ns());
  }
  to.revision = from.revision();
  to.reopen_count = from.reopen_count();
  if (from.has_acknowledgement()) {
    const v1::Acknowledgement& said = from.acknowledgement();
    to.acknowledgement = Acknowledgement{.time = wall_time_of(said.acknowledge_time()),
                                         .who = safe_line(said.who(), 512),
                                         .reason = safe_line(said.reason(), 512)};
  }
  return to;
}

}  // namespace

v1::SavedState save_state(const std::vector<Incident>& incidents,
                          const BootId& boot_id,
                          std::uint64_t epoch) {
  v1::SavedState state;
  state.set_boot_id(boot_id);
  state.set_epoch(epoch);
  for (const Incident& incident : incidents) {
    v1::SavedIncident& saved = *state.add_incidents();
    v1::Incident& to = *saved.mutable_incident();
    to = to_proto(incident, ClockPair{}, DeviceNames{});
    to.clear_evidence();
    to.clear_event_time();
    to.clear_detect_time();
    to.clear_decide_time();
    to.clear_resolve_time();
    saved.set_event_boot_ns(incident.event_time.since_boot.count());
    saved.set_detect_boot_ns(incident.detect_time.since_boot.count());
    if (incident.decide_time) {
      saved.set_decide_boot_ns(incident.decide_time->since_boot.count());
    }
    if (incident.resolve_time) {
      saved.set_resolve_boot_ns(incident.resolve_time->since_boot.count());
    }
  }
  return state;
}

RestoredState restore_state(std::string_view bytes, const BootId& boot_id) {
  RestoredState restored;
  v1::SavedState state;
  if (!state.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    restored.note = "it is damaged; earlier incidents are announced anew";
    return restored;
  }
  restored.epoch = state.epoch();
  if (restored.epoch == 0) {  // the last field, and never 0: the file's end is missing
    restored.note = "it is cut short; earlier incidents are announced anew";
    return restored;
  }
  if (state.boot_id() != boot_id) {
    restored.note = "it is of another boot of this host, or damaged; earlier incidents are over";
    return restored;
  }
  for (const v1::SavedIncident& saved : state.incidents()) {
    if (auto incident = restore_incident(saved)) {
      restored.incidents.push_back(*std::move(incident));
    } else {
      restored.note = "some incidents in it are damaged and were left out";
    }
  }
  return restored;
}

RestoredState StateFile::load(const BootId& boot_id) const {
  RestoredState nothing;
  const UniqueFd file(
      ::openat(folder_fd_, name_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.valid()) {
    nothing.note = errno == ENOENT ? "" : "it cannot be opened";
    return nothing;
  }
  struct stat info{};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode) ||
      info.st_size > static_cast<off_t>(kMaxStateBytes)) {
    nothing.note = "it is no file of ours";
    return nothing;
  }
  std::string buffer(static_cast<std::size_t>(info.st_size) + 1, '\0');
  const auto bytes = read_from_start(file.get(), buffer);
  if (!bytes) {
    nothing.note = bytes.error().message;
    return nothing;
  }
  return restore_state(*bytes, boot_id);
}

Result<> StateFile::store(const v1::SavedState& state) {
  std::string bytes = state.SerializeAsString();
  if (bytes == last_written_) {
    return {};
  }
  if (auto replaced = replace_file_at(folder_fd_, name_, bytes, 0600, Durability::kMemory);
      !replaced) {
    return fail(std::move(replaced).error().context("save state"));
  }
  last_written_ = std::move(bytes);
  return {};
}

}  // namespace hvguard::publish
