#include "detect/unclean_reboot.h"

#include <fmt/format.h>

namespace hvguard {
namespace {

UncleanRebootState::Judged judge(const BootRecord& record, const Snapshot& snapshot) {
  UncleanRebootState::Judged judged;
  judged.boot_id = record.boot_id;
  if (!record.last_seen) {
    return judged;
  }
  const Nanoseconds ago = snapshot.wall_time.since_epoch - record.last_seen->since_epoch;
  const Nanoseconds uptime = snapshot.boot_time.since_boot;
  // Later than this boot's start by the wall clock: one of the two is wrong.
  if (ago >= uptime) {
    judged.event_time = snapshot.boot_time - ago;
    judged.down_time = ago - uptime;
  }
  return judged;
}

std::string summary_of(const BootRecord& record, const UncleanRebootState::Judged& judged) {
  std::string out = "The host went down without a clean stop";
  if (judged.down_time) {
    out += fmt::format(" and came back after {}", format_duration(*judged.down_time));
  }
  out += record.pstore.telling_line.empty() ? "; the kernel left no panic message"
                                            : fmt::format(": {}", record.pstore.telling_line);
  const std::size_t open = record.incidents.size() + record.left_out_incident_count;
  if (open > 0) {
    out += fmt::format("; {} {} open then", open, open == 1 ? "incident was" : "incidents were");
  }
  return out + ".";
}

}  // namespace

std::optional<Finding> detect_unclean_reboot(const UncleanRebootConfig& config,
                                             UncleanRebootState& state,
                                             const Snapshot& snapshot) {
  const auto& record = snapshot.previous_boot;
  if (!record || record->state != BootState::kRunning || record->boot_id == snapshot.boot_id) {
    state.judged.reset();
    return std::nullopt;
  }
  if (!state.judged || state.judged->boot_id != record->boot_id) {
    state.judged = judge(*record, snapshot);
  }
  if (snapshot.boot_time.since_boot >= config.open_for) {
    return std::nullopt;
  }
  Finding finding;
  finding.kind = IncidentKind::kUncleanReboot;
  finding.subject = {.key = "host", .label = "host", .vm = std::nullopt, .device = std::nullopt};
  finding.severity = Severity::kWarning;
  finding.event_time = state.judged->event_time;
  finding.summary = summary_of(*record, *state.judged);
  finding.evidence =
      UncleanRebootEvidence{.previous_boot = record, .down_time = state.judged->down_time};
  return finding;
}

}  // namespace hvguard
