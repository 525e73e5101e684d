#include "detect/agent_blind.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "base/text.h"
#include "model/names.h"

namespace hvguard {
namespace {

constexpr int kStaleTicks = 3;
constexpr std::size_t kMaxDetailBytes = 512;
// The /proc fallback of the task pass is read every 5 to 10 s, as it costs 7 us a thread.
constexpr Nanoseconds kSlowFallback = std::chrono::seconds(30);

// What nobody watches while the source is blind.
std::string_view not_watched(Source source) {
  switch (source) {
    case Source::kTasks:
      return "blocked tasks and the coming of a hung-task panic";
    case Source::kBlockIo:
      return "stalled disks, contention for disks, and IO per VM";
    case Source::kLifecycle:
      return "the start and exit of VMs as they happen; they are found by scans every 10 s";
    case Source::kVmFinder:
      return "VMs: new ones are not found, and all per-VM figures are missing";
    case Source::kVmProbe:
      return "names, guest memory sizes and units of new VMs";
    case Source::kVmCgroups:
      return "CPU, memory, pressure and task limits per VM";
    case Source::kPressure:
      return "IO and memory pressure of the host";
    case Source::kVmstat:
      return "swap traffic and major faults of the host";
    case Source::kMeminfo:
      return "available memory of the host";
    case Source::kLoadavg:
      return "the load average";
    case Source::kDiskstats:
      return "IO per device";
    case Source::kBlockDevices:
      return "names, stacking and suspension of block devices";
    case Source::kHungTaskSysctls:
      return "the coming of a hung-task panic";
    case Source::kPreviousBoot:
      return "whether the host went down without a clean stop";
  }
  return "";
}

// Says nothing of what happens now, so nobody need act at once, and no advice depends on it.
bool is_about_the_past(Source source) {
  return source == Source::kPreviousBoot;
}

// Sources that every tick reads. The others answer to events or in longer turns, so the age of
// their last reading says nothing.
bool is_read_every_tick(Source source) {
  switch (source) {
    case Source::kTasks:
    case Source::kBlockIo:
    case Source::kPressure:
    case Source::kVmstat:
    case Source::kMeminfo:
    case Source::kLoadavg:
    case Source::kDiskstats:
      return true;
    default:
      return false;
  }
}

bool is_stale(const Snapshot& snapshot, const SourceStatus& status) {
  if (!status.last_good || !is_read_every_tick(status.source)) {
    return false;
  }
  const Nanoseconds bound = status.state == SourceState::kDegraded
                                ? std::max(snapshot.interval * kStaleTicks, kSlowFallback)
                                : snapshot.interval * kStaleTicks;
  return snapshot.interval > Nanoseconds(0) && snapshot.boot_time - *status.last_good > bound;
}

Finding make_finding(const SourceStatus& status, SourceState state, BootTime since, bool stale) {
  const bool degraded = state == SourceState::kDegraded;
  AgentBlindEvidence evidence;
  evidence.source = status.source;
  evidence.degraded = degraded;
  evidence.detail = safe_text(status.detail, kMaxDetailBytes);
  if (evidence.detail.empty()) {
    evidence.detail = stale ? "its readings are more than three ticks old" : "no reason given";
  }
  Finding finding;
  finding.kind = IncidentKind::kAgentBlind;
  finding.subject = {.key = fmt::format("source:{}", to_string(status.source)),
                     .label = fmt::format("source {}", to_string(status.source)),
                     .vm = std::nullopt,
                     .device = std::nullopt};
  finding.severity =
      degraded || is_about_the_past(status.source) ? Severity::kInfo : Severity::kWarning;
  finding.event_time = since;
  finding.summary = degraded ? fmt::format("Source {} is only approximate: {}.",
                                           to_string(status.source),
                                           evidence.detail)
                             : fmt::format("Source {} is blind: {}. Not watched: {}.",
                                           to_string(status.source),
                                           evidence.detail,
                                           not_watched(status.source));
  finding.evidence = std::move(evidence);
  return finding;
}

}  // namespace

SourceState effective_state(const Snapshot& snapshot, Source source) {
  const SourceStatus& status = snapshot.source(source);
  return is_stale(snapshot, status) ? SourceState::kBlind : status.state;
}

std::vector<Finding> detect_agent_blind(const AgentBlindConfig& config,
                                        AgentBlindState& state,
                                        const Snapshot& snapshot) {
  std::vector<Finding> findings;
  for (std::size_t i = 0; i < kSourceCount; ++i) {
    SourceStatus status = snapshot.sources.at(i);
    status.source = static_cast<Source>(i);
    const SourceState now = effective_state(snapshot, status.source);
    AgentBlindState::Trouble& trouble = state.sources.at(i);
    if (now == SourceState::kOk || now == SourceState::kUnknown) {
      trouble = {};
      continue;
    }
    if (trouble.tick_count == 0) {
      trouble.since = snapshot.boot_time;
      if (now == SourceState::kBlind && status.last_good) {
        trouble.since = std::min(*status.last_good, snapshot.boot_time);
      }
    }
    ++trouble.tick_count;
    if (trouble.tick_count >= config.open_after_ticks) {
      findings.push_back(make_finding(status, now, trouble.since, is_stale(snapshot, status)));
    }
  }
  return findings;
}

Finding sampler_late_finding(BootTime now,
                             std::optional<BootTime> last_seen,
                             const std::string& breadcrumb) {
  AgentBlindEvidence evidence;
  evidence.sampler_late = true;
  evidence.detail = breadcrumb.empty() ? "it is not known what it is reading"
                                       : "it is reading " + safe_text(breadcrumb, kMaxDetailBytes);
  Finding finding;
  finding.kind = IncidentKind::kAgentBlind;
  finding.subject = {
      .key = "sampler", .label = "sampler", .vm = std::nullopt, .device = std::nullopt};
  finding.severity = Severity::kWarning;
  finding.event_time = last_seen.value_or(now);
  finding.summary = fmt::format(
      "The sampler is late by more than three ticks: {}. Nothing is watched until it answers.",
      evidence.detail);
  finding.evidence = std::move(evidence);
  return finding;
}

}  // namespace hvguard
