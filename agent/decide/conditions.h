// Conditions: the host's state in ten words for the control plane, and one advice whether to place
// VMs here (BEHAVIOUR.md section 3). Pure; called by the Pipeline once per tick.
// A condition whose inputs are missing, blind, or older than three ticks is Unknown, never False;
// one that no detector of this build watches is Unknown with the reason NotWatched.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "detect/detectors.h"
#include "model/condition.h"
#include "model/facts.h"
#include "model/incident.h"
#include "model/limit.h"
#include "model/snapshot.h"

namespace hvguard {

// Bounds for a stall share (0 to 1, PSI "full" over the tick): True from `enter` held for
// `enter_for`, False again once it stayed under `leave` for `leave_for`.
struct PressureBounds {
  double enter_ratio = 0;
  double leave_ratio = 0;
  Nanoseconds enter_for{0};
  Nanoseconds leave_for{0};
};
// Where half the time nothing at all proceeds for want of IO, a VM placed here would suffer.
inline constexpr PressureBounds kIoPressureBounds = {
    0.40, 0.20, std::chrono::seconds(5), std::chrono::seconds(30)};
// Memory stalls hurt earlier: reclaim takes CPU from everyone, and swap feeds on itself.
inline constexpr PressureBounds kMemoryPressureBounds = {
    0.10, 0.05, std::chrono::seconds(5), std::chrono::seconds(30)};

// Memory of one pressure condition.
struct PressureState {
  bool high = false;
  std::optional<BootTime> crossed_since;  // since when the ratio is on the other side
  std::optional<BootTime> last_input;
  double ratio = 0;  // the last input
};

struct ConditionsState {
  std::array<std::optional<Condition>, kConditionKindCount> last;
  PressureState io;
  PressureState memory;
};

struct ConditionsInput {
  BootTime now;
  Nanoseconds interval{0};
  const Snapshot* snapshot = nullptr;  // null: none yet, or the sampler is late
  const Facts* facts = nullptr;        // null with it
  const HeldKinds* blind = nullptr;    // kinds whose detectors' inputs are blind in this tick
  const std::vector<Incident>* incidents = nullptr;
  LimitMode mode = LimitMode::kObserve;
  const DesiredLimits* limits = nullptr;  // null: none
  const std::string* cordon = nullptr;    // why people want no new VMs here; null: they do
};

// One per ConditionKind, in its order.
[[nodiscard]] std::vector<Condition> evaluate_conditions(ConditionsState& state,
                                                         const ConditionsInput& input);

[[nodiscard]] ScheduleAdvice advise_schedule(const std::vector<Condition>& conditions,
                                             const std::vector<Incident>& incidents);

}  // namespace hvguard
