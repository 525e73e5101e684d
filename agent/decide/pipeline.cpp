#include "decide/pipeline.h"

#include <utility>

#include "detect/cause_groups.h"
#include "detect/derive.h"
#include "detect/io_contention.h"

namespace hvguard {

Pipeline::Pipeline(const Config& config) : config_(config), book_(config.incidents) {}

void Pipeline::set_config(const Config& config) {
  config_ = config;
  book_.set_config(config.incidents);
}

void Pipeline::restore(std::vector<Incident> incidents) {
  restore_groups(detectors_.cause_groups, incidents);
  restore_io_contention(detectors_.io_contention, incidents);
  book_.restore(std::move(incidents), longest_open_after(config_));
}

TickResult Pipeline::result(std::vector<IncidentChange> changes,
                            std::vector<Incident> incidents,
                            std::vector<Condition> conditions) const {
  TickResult result;
  result.snapshot = previous_;
  result.facts = facts_;
  result.changes = std::move(changes);
  result.incidents = std::move(incidents);
  result.dropped_finding_count = book_.dropped_finding_count();
  result.conditions = std::move(conditions);
  result.schedule_advice = advise_schedule(result.conditions, result.incidents);
  return result;
}

TickResult Pipeline::step(std::shared_ptr<const Snapshot> snapshot) {
  facts_ = derive(previous_.get(), *snapshot);
  DetectorsOutput out = run_detectors(config_, detectors_, *snapshot, facts_);
  auto changes =
      book_.update(snapshot->boot_time, snapshot->boot_id, std::move(out.findings), out.held);
  previous_ = std::move(snapshot);

  auto incidents = book_.incidents();
  auto conditions = evaluate_conditions(conditions_,
                                        {.now = previous_->boot_time,
                                         .interval = previous_->interval,
                                         .snapshot = previous_.get(),
                                         .facts = &facts_,
                                         .blind = &out.blind,
                                         .incidents = &incidents});
  return result(std::move(changes), std::move(incidents), std::move(conditions));
}

TickResult Pipeline::sampler_late(BootTime now,
                                  WallTime /*wall_now*/,
                                  const std::string& breadcrumb) {
  const auto last_seen = previous_ ? std::optional(previous_->boot_time) : std::nullopt;
  const HeldKinds held = hold_all_but_agent_blind();
  // The other agent_blind incidents stand too: their sources have not been seen to recover.
  std::vector<Finding> findings = detectors_.agent_blind_findings;
  findings.push_back(sampler_late_finding(now, last_seen, breadcrumb));
  auto changes =
      book_.update(now, previous_ ? previous_->boot_id : BootId(), std::move(findings), held);

  auto incidents = book_.incidents();
  auto conditions = evaluate_conditions(conditions_,
                                        {.now = now,
                                         .interval = config_.sampler.interval,
                                         .snapshot = nullptr,
                                         .facts = nullptr,
                                         .blind = &held,
                                         .incidents = &incidents});
  return result(std::move(changes), std::move(incidents), std::move(conditions));
}

}  // namespace hvguard
