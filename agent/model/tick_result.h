// TickResult: all that one Pipeline::step() says. Immutable once made; published as it is.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "model/condition.h"
#include "model/facts.h"
#include "model/incident.h"
#include "model/limit.h"
#include "model/snapshot.h"

namespace hvguard {

struct TickResult {
  std::shared_ptr<const Snapshot> snapshot;
  Facts facts;
  std::vector<IncidentChange> changes;      // of this tick, in the order they happened
  std::vector<Incident> incidents;          // open ones, then the resolved ones still remembered
  std::uint64_t dropped_finding_count = 0;  // findings lost at the book's bound, since the start
  std::vector<Condition> conditions;        // one per ConditionKind
  ScheduleAdvice schedule_advice;
  LimitMode mode = LimitMode::kObserve;  // of the host; a class may have less
  DesiredLimits limits;                  // those of dry run included
  std::vector<Decision> decisions;       // of this tick
  std::vector<Outcome> outcomes;         // of enforce/, as known when the tick began; by key
};

}  // namespace hvguard
