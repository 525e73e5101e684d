// hung_task: tasks that have been in hard D by our own clock for too long, one Finding per cause.
// Pure; called once per tick. Needs the source tasks.
#pragma once

#include <optional>
#include <vector>

#include "detect/blocked_tasks.h"
#include "detect/cause_groups.h"
#include "detect/stalled_devices.h"
#include "model/config.h"
#include "model/incident.h"
#include "model/snapshot.h"

namespace hvguard {

[[nodiscard]] std::vector<Finding> detect_hung_tasks(const HungTaskConfig& config,
                                                     CauseGroupsState& state,
                                                     const Snapshot& snapshot,
                                                     const std::vector<TrackedTask>& tasks,
                                                     const std::vector<StalledIo>& stalled,
                                                     const std::vector<LimitKey>& throttles = {});

// What an incident says of one task.
[[nodiscard]] HungTaskMember incident_member(const TrackedTask& task);

}  // namespace hvguard
