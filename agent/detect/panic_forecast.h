// panic_forecast: when the kernel will panic over hung tasks if nothing changes, by its own
// arithmetic (detect/khungtaskd.h). Pure; called once per tick.
// Needs the sources tasks and hung_task_sysctls.
//
// hung_task_panic is 0 (off), 1 (any hung task), or since 6.19 a count N: the panic comes with the
// first scan in which at least N tasks are hung. Warnings left do not matter. Tasks that wake
// themselves in time, and killable, idle and frozen ones, never count.
#pragma once

#include <optional>
#include <vector>

#include "base/time.h"
#include "detect/blocked_tasks.h"
#include "detect/khungtaskd.h"
#include "model/config.h"
#include "model/facts.h"
#include "model/incident.h"
#include "model/snapshot.h"

namespace hvguard {

struct PanicForecastState {
  std::optional<std::uint32_t> jiffies_per_second;  // the kernel's, once known
  ScanClockState scan_clock;
  std::optional<HungTaskSysctls> sysctls;  // as they were last, and
  BootTime rule_since;                     // since when they are so, as far as known
  // What was said last: readings jitter by a jiffy, the statement should not.
  std::optional<BootTime> earliest;
  std::optional<BootTime> latest;
};

struct PanicForecastResult {
  std::optional<Finding> finding;
  bool known = true;  // false: something needed is missing in this tick
};

[[nodiscard]] PanicForecastResult detect_panic_forecast(const PanicForecastConfig& config,
                                                        Nanoseconds hung_open_after,
                                                        PanicForecastState& state,
                                                        const Snapshot& snapshot,
                                                        const Facts& facts,
                                                        const std::vector<TrackedTask>& tasks);

}  // namespace hvguard
