#include "detect/detectors.h"

#include <algorithm>
#include <initializer_list>

namespace hvguard {
namespace {

bool sees(const Snapshot& snapshot, std::initializer_list<Source> needed) {
  return std::all_of(needed.begin(), needed.end(), [&](Source source) {
    const SourceState state = effective_state(snapshot, source);
    return state != SourceState::kBlind && state != SourceState::kUnknown;
  });
}

void append(std::vector<Finding>& all, std::vector<Finding> more) {
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

}  // namespace

DetectorsOutput run_detectors(const Config& config,
                              DetectorsState& state,
                              const Snapshot& snapshot,
                              const Facts& facts) {
  DetectorsOutput out;
  const auto hold = [&](IncidentKind kind, bool blind) {
    out.held.at(static_cast<std::size_t>(kind)) = true;
    out.blind.at(static_cast<std::size_t>(kind)) = blind;
  };
  const bool sees_tasks = sees(snapshot, {Source::kTasks});
  // A fallback that is read every few ticks leaves the task pass out in between: that is no news,
  // not the absence of blocked tasks.
  const bool has_tasks = sees_tasks && snapshot.tasks.has_value();
  const bool sees_sysctls = sees(snapshot, {Source::kHungTaskSysctls});
  const bool sees_block_io = sees(snapshot, {Source::kBlockIo});
  const auto stalled =
      sees_block_io ? find_stalled_io(state.stalled_devices, snapshot) : std::vector<StalledIo>();
  const auto tasks = has_tasks ? track_blocked_tasks(state.blocked_tasks, snapshot, facts)
                               : std::vector<TrackedTask>();

  if (has_tasks) {
    append(out.findings,
           detect_hung_tasks(config.hung_task, state.cause_groups, snapshot, tasks, stalled));
  } else {
    hold(IncidentKind::kHungTask, !sees_tasks);
  }

  if (has_tasks && sees_sysctls) {
    auto forecast = detect_panic_forecast(config.panic_forecast,
                                          config.hung_task.open_after,
                                          state.panic_forecast,
                                          snapshot,
                                          facts,
                                          tasks);
    if (forecast.finding) {
      out.findings.push_back(std::move(*forecast.finding));
    }
    if (!forecast.known) {
      hold(IncidentKind::kPanicForecast, true);
    }
  } else {
    hold(IncidentKind::kPanicForecast, !sees_tasks || !sees_sysctls);
  }

  if (sees_block_io) {
    append(out.findings, detect_io_stalls(config.io_stall, state.io_stall, snapshot, stalled));
  } else {
    hold(IncidentKind::kIoStall, true);
  }

  auto contention = sees_block_io ? detect_io_contention(
                                        config.io_contention, state.io_contention, snapshot, facts)
                                  : std::nullopt;
  if (contention) {
    append(out.findings, *std::move(contention));
  } else {
    state.io_contention.contentions.reset();
    hold(IncidentKind::kIoContention, true);
  }

  if (sees(snapshot, {Source::kVmFinder})) {
    append(out.findings, detect_vm_topology(config.vm_topology, state.vm_topology, snapshot));
  } else {
    hold(IncidentKind::kVmTopology, true);
  }

  if (sees(snapshot, {Source::kPreviousBoot})) {
    if (auto finding =
            detect_unclean_reboot(config.unclean_reboot, state.unclean_reboot, snapshot)) {
      out.findings.push_back(*std::move(finding));
    }
  } else {
    hold(IncidentKind::kUncleanReboot, true);
  }

  state.agent_blind_findings = detect_agent_blind(config.agent_blind, state.agent_blind, snapshot);
  append(out.findings, state.agent_blind_findings);
  return out;
}

HeldKinds hold_all_but_agent_blind() {
  HeldKinds kinds;
  kinds.fill(true);
  kinds.at(static_cast<std::size_t>(IncidentKind::kAgentBlind)) = false;
  return kinds;
}

Nanoseconds longest_open_after(const Config& config) {
  return std::max({config.hung_task.open_after,
                   config.io_stall.open_after,
                   config.io_contention.open_after,
                   kLongestWindow * 2,
                   config.sampler.interval * config.agent_blind.open_after_ticks});
}

}  // namespace hvguard
