#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "ctl/explain.h"
#include "ctl/format.h"
#include "ctl/views.h"

namespace hvguard::ctl {
namespace {

// Enough to name one by.
std::string lasted(const v1::Incident& incident, const Style& style) {
  if (incident.has_resolve_time()) {
    return format_duration(std::max(wall_time(incident.resolve_time()).since_epoch -
                                        wall_time(incident.event_time()).since_epoch,
                                    Nanoseconds(0)));
  }
  return age_text(incident.event_time(), style.now);
}

std::string state_text(v1::Incident::State state) {
  return enum_text(v1::Incident::State_Name(state), "STATE_");
}

std::string moment(std::string_view label,
                   bool known,
                   const google::protobuf::Timestamp& time,
                   std::string_view meaning,
                   const Style& style) {
  return labelled(
      label,
      known ? fmt::format("{}  {} ago, {}", time_text(time), age_text(time, style.now), meaning)
            : fmt::format("{}", kUnknown),
      style);
}

}  // namespace

Tone tone_of(v1::Incident::Severity severity) {
  switch (severity) {
    case v1::Incident::SEVERITY_CRITICAL:
      return Tone::kBad;
    case v1::Incident::SEVERITY_WARNING:
      return Tone::kWarning;
    default:
      return Tone::kPlain;
  }
}

std::string severity_text(v1::Incident::Severity severity) {
  return enum_text(v1::Incident::Severity_Name(severity), "SEVERITY_");
}

std::string kind_text(v1::Incident::Kind kind) {
  return enum_text(v1::Incident::Kind_Name(kind), "KIND_");
}

std::string incidents_view(const v1::ListIncidentsResponse& answer, const Style& style) {
  if (answer.incidents().empty()) {
    return "no incidents\n";
  }
  Table table({{"ID"}, {"STATE"}, {"SEVERITY"}, {"KIND"}, {"LASTS", true}, {"WHAT", false, true}});
  for (const v1::Incident& incident : answer.incidents()) {
    const bool open = incident.state() == v1::Incident::STATE_OPEN;
    table.add(
        {{printable(incident.incident_id())},
         {state_text(incident.state())},
         {severity_text(incident.severity()), open ? tone_of(incident.severity()) : Tone::kDim},
         {kind_text(incident.kind())},
         {lasted(incident, style)},
         {printable(incident.summary())}});
  }
  return table.render(style);
}

std::string incident_view(const v1::Incident& incident, const Style& style) {
  const bool open = incident.state() == v1::Incident::STATE_OPEN;
  std::string out = painted(printable(incident.summary()), Tone::kStrong, style) + "\n\n";
  out += labelled("incident", printable(incident.incident_id()), style);
  out += labelled("kind", kind_text(incident.kind()), style);
  out += labelled("state",
                  fmt::format("{}{}",
                              state_text(incident.state()),
                              incident.reopen_count() > 0
                                  ? fmt::format(", came back {} times", incident.reopen_count())
                                  : ""),
                  style);
  out += labelled("severity",
                  painted(severity_text(incident.severity()),
                          open ? tone_of(incident.severity()) : Tone::kPlain,
                          style) +
                      fmt::format(", at worst {}", severity_text(incident.peak_severity())),
                  style);
  out += labelled("about", printable(incident.subject_label()), style);
  if (!incident.vm_id().empty()) {
    out += labelled("VM", printable(incident.vm_id()), style);
  }
  if (incident.has_device()) {
    out += labelled("device", device_text(incident.device()), style);
  }
  out += "\n";
  out += moment("began", incident.has_event_time(), incident.event_time(), "by the data", style);
  out += moment("detected", incident.has_detect_time(), incident.detect_time(), "opened", style);
  out += moment("decided",
                incident.has_decide_time(),
                incident.decide_time(),
                "policy chose something",
                style);
  out += moment("resolved", incident.has_resolve_time(), incident.resolve_time(), "over", style);

  out += "\n" + painted("Evidence", Tone::kStrong, style) + "\n" + evidence_text(incident, style);
  const Explanation why = explain(incident);
  out += "\n" + painted("What it means", Tone::kStrong, style) + "\n" + why.meaning;
  out += "\n" + painted("What to do", Tone::kStrong, style) + "\n" + why.remedy;
  return out;
}

std::string watched_view(const v1::WatchIncidentsResponse& response, const Style& style) {
  const auto line = [&](const v1::Incident& incident, std::string_view time) {
    const std::string severity = severity_text(incident.severity());
    return fmt::format("{}  {:<8}  {}{}  {}  {}  {}\n",
                       time,
                       state_text(incident.state()),
                       painted(severity, tone_of(incident.severity()), style),
                       std::string(8 - std::min<std::size_t>(severity.size(), 8), ' '),
                       printable(incident.incident_id()),
                       kind_text(incident.kind()),
                       printable(incident.summary()));
  };
  switch (response.kind_case()) {
    case v1::WatchIncidentsResponse::kSnapshot:
      return line(response.snapshot(), clock_text(response.snapshot().event_time()));
    case v1::WatchIncidentsResponse::kChange: {
      google::protobuf::Timestamp now;
      now.set_seconds(
          std::chrono::duration_cast<std::chrono::seconds>(style.now.since_epoch).count());
      return line(response.change(), clock_text(now));
    }
    case v1::WatchIncidentsResponse::kEndOfSnapshot:
      return fmt::format("-- {} until now; changes follow\n",
                         response.end_of_snapshot().snapshot_count());
    case v1::WatchIncidentsResponse::kGap:
      return fmt::format("-- {} changes were lost, all incidents follow again\n",
                         response.gap().dropped_count());
    case v1::WatchIncidentsResponse::KIND_NOT_SET:
      break;
  }
  return {};
}

}  // namespace hvguard::ctl
