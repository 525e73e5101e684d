// Host-level states for the control plane (BEHAVIOUR.md section 3).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"

namespace hvguard {

enum class ConditionKind {
  kIoPressure,
  kMemoryPressure,
  kSwapStorm,
  kHungTasks,
  kPanicForecast,
  kVmZombies,
  kUnitsUnhealthy,
  kAgentBlind,
  kThrottling,
  kCordoned,
};
inline constexpr std::size_t kConditionKindCount = 10;

enum class ConditionState { kUnknown, kFalse, kTrue };

struct Condition {
  ConditionKind kind = ConditionKind::kHungTasks;
  ConditionState state = ConditionState::kUnknown;
  std::string reason;   // one CamelCase word, stable, for programs
  std::string message;  // for people
  BootTime last_transition;
};

enum class Schedulable { kUnknown, kYes, kNo, kDrainAdvised };

struct ScheduleAdvice {
  Schedulable schedulable = Schedulable::kUnknown;
  std::vector<std::string> reasons;
};

}  // namespace hvguard
