// `hvguardctl why VM`: from the evidence to the limit to what the kernel has, oldest first.
#include <algorithm>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ctl/format.h"
#include "ctl/json.h"
#include "ctl/limit_words.h"
#include "ctl/views.h"

namespace hvguard::ctl {
namespace {

// One thing that happened.
struct Event {
  google::protobuf::Timestamp time;
  int rank = 0;  // of those at one moment: what leads to what
  std::string text;
};

std::string decision_text(const v1::Decision& decision) {
  v1::Limit setting;
  setting.set_kind(decision.kind());
  if (decision.has_device()) {
    *setting.mutable_device() = decision.device();
  }
  std::string what;
  if (decision.kind() != v1::Limit::KIND_UNSPECIFIED) {
    what = " " + setting_text(setting);
  } else if (decision.has_device()) {
    what = " on " + device_text(decision.device());
  }
  if (decision.has_value()) {
    what += " to " + limit_value_text(decision.kind(), decision.value());
  }
  std::string text = fmt::format("{}{}{}: {}",
                                 decision.dry_run() ? "would have " : "",
                                 enum_text(v1::Decision::Step_Name(decision.step()), "STEP_"),
                                 what,
                                 printable(decision.reason()));
  if (decision.repeat_count() > 0) {
    text += fmt::format(" ({} times more)", decision.repeat_count());
  }
  return text;
}

void add_incident(std::vector<Event>& events, const v1::Incident& incident) {
  const std::string name =
      fmt::format("{} {}", kind_text(incident.kind()), printable(incident.incident_id()));
  events.push_back(
      {incident.event_time(), 0, fmt::format("{} began: {}", name, printable(incident.summary()))});
  events.push_back({incident.detect_time(),
                    1,
                    fmt::format("{} was detected, {}", name, severity_text(incident.severity()))});
  if (incident.has_acknowledgement()) {
    const v1::Acknowledgement& known = incident.acknowledgement();
    events.push_back({known.acknowledge_time(),
                      2,
                      fmt::format("{} was acknowledged by {}: {}",
                                  name,
                                  printable(known.who()),
                                  printable(known.reason()))});
  }
  if (incident.has_resolve_time()) {
    events.push_back({incident.resolve_time(), 4, name + " was over"});
  }
}

// What the kernel has of it.
std::string outcome_text(const v1::Limit& limit) {
  std::string text = limit_state_text(limit.state());
  std::replace(text.begin(), text.end(), '_', ' ');
  if (limit.has_since_time()) {
    text += fmt::format(" since {}", clock_text(limit.since_time()));
  }
  if (limit.lever() != v1::Limit::LEVER_UNSPECIFIED) {
    text += fmt::format(" through {}", enum_text(v1::Limit::Lever_Name(limit.lever()), "LEVER_"));
  }
  if (limit.has_in_kernel_value()) {
    text +=
        fmt::format(", the kernel has {}", limit_value_text(limit.kind(), limit.in_kernel_value()));
  }
  if (limit.failed_attempt_count() > 0) {
    text += fmt::format(", {} attempts failed", limit.failed_attempt_count());
  }
  return limit.detail().empty() ? text : text + ": " + printable(limit.detail());
}

std::string until(const v1::Limit& limit, std::string_view but_for) {
  return limit.has_expire_time()
             ? fmt::format(", by itself at {}{}", clock_text(limit.expire_time()), but_for)
             : std::string();
}

// What would release it.
std::string release_text(const v1::Limit& limit, const std::string& vm) {
  switch (limit.origin()) {
    case v1::Limit::ORIGIN_BASELINE:
      return "another class for this VM in hvguard.toml, or the end of the VM";
    case v1::Limit::ORIGIN_GUARD_RULE:
      return fmt::format("calm: the rule loosens it step by step once incident {} is over{}",
                         printable(limit.incident_id()),
                         until(limit, " unless renewed"));
    case v1::Limit::ORIGIN_OPERATOR:
      return fmt::format(
          "`hvguardctl limit release {} {}{} --reason …`{}",
          vm,
          limit_kind_name(limit.kind()),
          limit.has_device()
              ? fmt::format(" --device {}:{}", limit.device().major(), limit.device().minor())
              : "",
          until(limit, ""));
    case v1::Limit::ORIGIN_CONTROL_PLANE:
      return "the control plane" + until(limit, " unless renewed");
    default:
      break;
  }
  return limit.state() == v1::Limit::STATE_FOREIGN
             ? "whoever set the value that is there now; hvguard leaves it alone"
             : "nothing more: it is being released";
}

std::string limit_part(const v1::Limit& limit, const std::string& vm, const Style& style) {
  const auto value = optional_of(limit, &v1::Limit::has_value, &v1::Limit::value);
  std::string out =
      painted(setting_text(limit) +
                  (value ? ": " + limit_value_text(limit.kind(), value) : " is wanted no more"),
              Tone::kStrong,
              style) +
      "\n";
  if (limit.origin() != v1::Limit::ORIGIN_UNSPECIFIED) {
    std::string origin = enum_text(v1::Limit::Origin_Name(limit.origin()), "ORIGIN_");
    std::replace(origin.begin(), origin.end(), '_', ' ');
    out += labelled(
        "wanted by",
        limit.reason().empty() ? origin : fmt::format("{}: {}", origin, printable(limit.reason())),
        style);
  }
  out += labelled("outcome", outcome_text(limit), style);
  out += labelled("ends with", release_text(limit, vm), style);
  return out;
}

}  // namespace

std::string why_view(const WhyAnswer& answer, const Style& style) {
  const std::string vm = printable(answer.vm.vm().name());
  std::vector<Event> events;
  for (const v1::Incident& incident : answer.incidents) {
    add_incident(events, incident);
  }
  for (const v1::Decision& decision : answer.decisions.decisions()) {
    events.push_back({decision.decide_time(), 3, decision_text(decision)});
  }
  // Decisions come newest first: of those of one moment the later one was made later.
  std::reverse(events.begin(), events.end());
  std::ranges::stable_sort(events, {}, [](const Event& event) {
    return std::tuple(event.time.seconds(), event.time.nanos(), event.rank);
  });

  const auto& limits = answer.vm.limits();
  std::string out =
      painted(
          limits.empty()
              ? fmt::format("VM {}: nothing limits it", vm)
              : fmt::format("VM {}: {} limit{}", vm, limits.size(), limits.size() == 1 ? "" : "s"),
          Tone::kStrong,
          style) +
      "\n\n" + painted("What happened", Tone::kStrong, style) + "\n";
  for (const Event& event : events) {
    out += fmt::format("{}  {}\n", clock_text(event.time), event.text);
  }
  if (events.empty()) {
    out += "nothing that hvguard remembers\n";
  }
  if (answer.decisions.forgotten_count() > 0) {
    out += fmt::format("{} older decisions are forgotten: `journalctl -t hvguardd` has them\n",
                       answer.decisions.forgotten_count());
  }
  for (const v1::Limit& limit : limits) {
    out += "\n" + limit_part(limit, vm, style);
  }
  return out;
}

// The three answers as one object.
std::string why_json(const WhyAnswer& answer) {
  v1::ListIncidentsResponse incidents;
  incidents.mutable_incidents()->Assign(answer.incidents.begin(), answer.incidents.end());
  *incidents.mutable_observe_time() = answer.vm.observe_time();
  return fmt::format("{{\n\"get_vm\": {},\n\"list_incidents\": {},\n\"list_decisions\": {}}}\n",
                     json_text(answer.vm),
                     json_text(incidents),
                     json_text(answer.decisions));
}

}  // namespace hvguard::ctl
