// Pipeline: one tick from a Snapshot to a TickResult. Pure: no clock, no I/O, no log; the same
// input sequence always gives the same results, live, in a replay, or in the simulator. Owned and
// called by the loop thread only. A step takes single-digit milliseconds with 4096 blocked tasks
// and 1000 VMs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "decide/conditions.h"
#include "decide/planner.h"
#include "detect/detectors.h"
#include "detect/incident_book.h"
#include "model/admin_request.h"
#include "model/config.h"
#include "model/facts.h"
#include "model/incident.h"
#include "model/snapshot.h"
#include "model/tick_result.h"

namespace hvguard {

class Pipeline {
 public:
  explicit Pipeline(const Config& config, OwnPlace own = {});

  // One tick. The Snapshot must not be null; ticks may be missing, and one whose boot clock does
  // not move forward is taken as the first one after a gap.
  // `outcomes`: what enforce/ made of the limits so far, by key.
  [[nodiscard]] TickResult step(std::shared_ptr<const Snapshot> snapshot,
                                std::vector<Outcome> outcomes = {});

  // What holds while the sampler gives nothing: to be called once per interval as soon as a tick is
  // late by three intervals, until step() can be called again. The open incidents stand as they
  // are, agent_blind says that the sampler is late and what it is reading (the breadcrumb), and
  // every condition that needs fresh input is Unknown. The result repeats the last Snapshot and
  // Facts; its snapshot is null if there never was one.
  [[nodiscard]] TickResult sampler_late(BootTime now,
                                        WallTime wall_now,
                                        const std::string& breadcrumb);

  // What somebody asks of the guard; what it leads to shows in the next step's result.
  [[nodiscard]] Result<AdminAnswer> request(const AdminRequest& request);

  // Holds from the next step on; nothing that is open is closed or opened by the change itself.
  void set_config(const Config& config);

  // After a restart, before the first step(): incidents as they were last published. The open ones
  // are neither cleared nor announced again until the detectors have had the time to confirm them.
  void restore(std::vector<Incident> incidents);

 private:
  [[nodiscard]] PlannerInput planner_input(const std::vector<Incident>& incidents) const;
  [[nodiscard]] TickResult finish(ConditionsInput conditions_input,
                                  std::vector<IncidentChange> changes,
                                  Plan plan);

  Config config_;
  DetectorsState detectors_;
  IncidentBook book_;
  Planner planner_;
  ConditionsState conditions_;
  std::shared_ptr<const Snapshot> previous_;
  Facts facts_;
  std::vector<Outcome> outcomes_;
  std::vector<IncidentChange> requested_changes_;  // by people, since the last step
};

}  // namespace hvguard
