#include "decide/conditions.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <tuple>

#include <fmt/format.h>

#include "model/names.h"

namespace hvguard {
namespace {

constexpr int kStaleTicks = 3;

struct Verdict {
  ConditionState state = ConditionState::kUnknown;
  std::string reason;
  std::string message;
};

Verdict unknown(std::string_view reason, std::string_view message) {
  return {ConditionState::kUnknown, std::string(reason), std::string(message)};
}

Verdict not_watched() {
  return unknown("NotWatched", "this version of hvguard does not watch it");
}

Verdict late() {
  return unknown("InputsStale", "there is no fresh reading of the host");
}

// Open incidents of one kind: how many, and the worst.
struct OpenIncidents {
  std::size_t count = 0;
  const Incident* worst = nullptr;
};

OpenIncidents open_of(const std::vector<Incident>& incidents, IncidentKind kind) {
  OpenIncidents open;
  for (const Incident& incident : incidents) {
    if (incident.kind != kind || incident.state != IncidentState::kOpen) {
      continue;
    }
    ++open.count;
    if (open.worst == nullptr || incident.severity > open.worst->severity) {
      open.worst = &incident;
    }
  }
  return open;
}

std::string describe(const OpenIncidents& open) {
  return open.count == 1 ? open.worst->summary
                         : fmt::format("{} (and {} more)", open.worst->summary, open.count - 1);
}

// Feeds one reading into a pressure's memory, and forgets it when it is too old to stand for now.
void feed(PressureState& state,
          const PressureBounds& bounds,
          std::optional<double> ratio,
          const ConditionsInput& input) {
  if (!ratio) {
    if (state.last_input && input.now - *state.last_input > input.interval * kStaleTicks) {
      state = {};
    }
    return;
  }
  state.last_input = input.now;
  state.ratio = *ratio;
  const bool crossed = state.high ? *ratio < bounds.leave_ratio : *ratio >= bounds.enter_ratio;
  if (!crossed) {
    state.crossed_since.reset();
    return;
  }
  if (!state.crossed_since) {
    state.crossed_since = input.now;
  }
  const Nanoseconds hold = state.high ? bounds.leave_for : bounds.enter_for;
  if (input.now - *state.crossed_since >= hold) {
    state.high = !state.high;
    state.crossed_since.reset();
  }
}

// Without the present figure: a message that changes every tick is read by nobody.
Verdict pressure(const PressureState& state, std::string_view what) {
  if (!state.last_input) {
    return unknown("InputsStale", fmt::format("{} pressure (PSI) is not known", what));
  }
  if (state.high) {
    return {ConditionState::kTrue,
            "StallsHigh",
            fmt::format("all runnable tasks together wait for {} a large share of the time", what)};
  }
  return {ConditionState::kFalse, "StallsLow", ""};
}

Verdict io_pressure(const PressureState& state, const ConditionsInput& input) {
  std::string_view out_of_sight;
  for (const auto& [kind, reason, name] :
       {std::tuple(IncidentKind::kIoStall, "IoStall", "an IO stall"),
        std::tuple(IncidentKind::kIoContention, "IoContention", "contention for a disk")}) {
    const auto open = open_of(*input.incidents, kind);
    if (open.count == 0) {
      continue;
    }
    if (!input.blind->at(static_cast<std::size_t>(kind))) {
      return {ConditionState::kTrue, reason, describe(open)};
    }
    out_of_sight = name;
  }
  Verdict verdict = pressure(state, "IO");
  // Async IO waits without a task, so a dead or contended disk may show little pressure: do not say
  // no while what was open cannot be looked at.
  if (!out_of_sight.empty() && verdict.state == ConditionState::kFalse) {
    return unknown("InputsStale",
                   fmt::format("{} was open when its source went blind", out_of_sight));
  }
  return verdict;
}

Verdict of_incidents(const ConditionsInput& input,
                     IncidentKind kind,
                     std::string_view reason_if_true,
                     std::string_view reason_if_false) {
  if (input.blind->at(static_cast<std::size_t>(kind))) {
    return unknown("InputsStale", "a source that it needs is blind");
  }
  const auto open = open_of(*input.incidents, kind);
  if (open.count > 0) {
    return {ConditionState::kTrue, std::string(reason_if_true), describe(open)};
  }
  return {ConditionState::kFalse, std::string(reason_if_false), ""};
}

Verdict panic_forecast(const ConditionsInput& input) {
  Verdict verdict = of_incidents(input, IncidentKind::kPanicForecast, "PanicAhead", "NoPanicAhead");
  const auto& sysctls = input.snapshot->host.hung_task;
  if (verdict.state == ConditionState::kFalse && sysctls &&
      sysctls->hung_task_panic.value_or(0) == 0) {
    verdict.reason = "PanicDisabled";
    verdict.message = "hung_task_panic is 0: the kernel does not panic over hung tasks";
  }
  return verdict;
}

// Degraded sources still answer; only blind ones, and a late sampler, make the agent blind.
Verdict agent_blind(const std::vector<Incident>& incidents) {
  const auto open = open_of(incidents, IncidentKind::kAgentBlind);
  if (open.count == 0) {
    return {ConditionState::kFalse, "AllSourcesAnswer", ""};
  }
  if (open.worst->severity == Severity::kInfo) {
    return {ConditionState::kFalse, "SourcesDegraded", describe(open)};
  }
  return {ConditionState::kTrue, "SourcesBlind", describe(open)};
}

// Baselines are how VMs are meant to run: only what answers to trouble, or to people, counts.
Verdict throttling(const ConditionsInput& input) {
  static const DesiredLimits kNone;
  std::set<VmId> vms;
  for (const Limit& limit : input.limits == nullptr ? kNone : *input.limits) {
    if (limit.origin != LimitOrigin::kBaseline && !limit.dry_run) {
      vms.insert(limit.key.vm);
    }
  }
  if (!vms.empty()) {
    return {ConditionState::kTrue, "VmsLimited", fmt::format("{} VMs are limited", vms.size())};
  }
  return {ConditionState::kFalse,
          input.mode == LimitMode::kEnforce ? "NoVmLimited" : "NotEnforcing",
          ""};
}

Verdict cordoned(const ConditionsInput& input) {
  return input.cordon == nullptr ? Verdict{ConditionState::kFalse, "NotCordoned", ""}
                                 : Verdict{ConditionState::kTrue, "CordonRequested", *input.cordon};
}

Verdict verdict_of(ConditionKind kind, ConditionsState& state, const ConditionsInput& input) {
  switch (kind) {
    case ConditionKind::kSwapStorm:
    case ConditionKind::kVmZombies:
    case ConditionKind::kUnitsUnhealthy:
      return not_watched();
    case ConditionKind::kThrottling:
      return throttling(input);
    case ConditionKind::kCordoned:
      return cordoned(input);
    case ConditionKind::kAgentBlind:
      return agent_blind(*input.incidents);
    default:
      break;
  }
  if (input.snapshot == nullptr) {
    return late();
  }
  switch (kind) {
    case ConditionKind::kIoPressure:
      return io_pressure(state.io, input);
    case ConditionKind::kMemoryPressure:
      return pressure(state.memory, "memory");
    case ConditionKind::kHungTasks:
      return of_incidents(input, IncidentKind::kHungTask, "TasksHung", "NoTasksHung");
    case ConditionKind::kPanicForecast:
      return panic_forecast(input);
    default:
      return not_watched();
  }
}

const Condition* find(const std::vector<Condition>& conditions, ConditionKind kind) {
  const auto at = std::find_if(
      conditions.begin(), conditions.end(), [&](const Condition& one) { return one.kind == kind; });
  return at == conditions.end() ? nullptr : &*at;
}

std::string reason_text(const Condition& condition) {
  return condition.message.empty()
             ? fmt::format("{}: {}", to_string(condition.kind), condition.reason)
             : fmt::format("{}: {}", to_string(condition.kind), condition.message);
}

}  // namespace

std::vector<Condition> evaluate_conditions(ConditionsState& state, const ConditionsInput& input) {
  const auto ratio = [&](std::optional<double> HostFacts::* which) {
    return input.facts == nullptr ? std::nullopt : input.facts->host.*which;
  };
  feed(state.io, kIoPressureBounds, ratio(&HostFacts::io_full_ratio), input);
  feed(state.memory, kMemoryPressureBounds, ratio(&HostFacts::memory_full_ratio), input);

  std::vector<Condition> conditions;
  conditions.reserve(kConditionKindCount);
  for (std::size_t i = 0; i < kConditionKindCount; ++i) {
    const auto kind = static_cast<ConditionKind>(i);
    Verdict verdict = verdict_of(kind, state, input);
    Condition condition;
    condition.kind = kind;
    condition.state = verdict.state;
    condition.reason = std::move(verdict.reason);
    condition.message = std::move(verdict.message);
    auto& last = state.last.at(i);
    condition.last_transition =
        last && last->state == condition.state ? last->last_transition : input.now;
    last = condition;
    conditions.push_back(std::move(condition));
  }
  return conditions;
}

ScheduleAdvice advise_schedule(const std::vector<Condition>& conditions,
                               const std::vector<Incident>& incidents) {
  ScheduleAdvice advice;
  advice.schedulable = Schedulable::kYes;
  const auto say = [&](Schedulable worse, const Condition& condition) {
    // The last word is the worst: drain, no, unknown, yes.
    const auto rank = [](Schedulable one) {
      switch (one) {
        case Schedulable::kDrainAdvised:
          return 3;
        case Schedulable::kNo:
          return 2;
        case Schedulable::kUnknown:
          return 1;
        case Schedulable::kYes:
          break;
      }
      return 0;
    };
    if (rank(worse) > rank(advice.schedulable)) {
      advice.schedulable = worse;
    }
    advice.reasons.push_back(reason_text(condition));
  };
  const auto is_critical = [&](IncidentKind kind) {
    const auto open = open_of(incidents, kind);
    return open.count > 0 && open.worst->severity == Severity::kCritical;
  };
  for (const ConditionKind kind : {ConditionKind::kPanicForecast,
                                   ConditionKind::kHungTasks,
                                   ConditionKind::kIoPressure,
                                   ConditionKind::kMemoryPressure,
                                   ConditionKind::kCordoned,
                                   ConditionKind::kAgentBlind}) {
    const Condition* const condition = find(conditions, kind);
    if (condition == nullptr || condition->state == ConditionState::kFalse) {
      continue;
    }
    if (condition->state == ConditionState::kUnknown || kind == ConditionKind::kAgentBlind) {
      say(Schedulable::kUnknown, *condition);
    } else if (kind == ConditionKind::kPanicForecast) {
      // Nobody should move VMs about for an upper bound.
      const bool sure = is_critical(IncidentKind::kPanicForecast);
      say(sure ? Schedulable::kDrainAdvised : Schedulable::kNo, *condition);
    } else if (kind != ConditionKind::kHungTasks || is_critical(IncidentKind::kHungTask)) {
      say(Schedulable::kNo, *condition);
    } else {
      advice.reasons.push_back(reason_text(*condition));
    }
  }
  return advice;
}

}  // namespace hvguard
