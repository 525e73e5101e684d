#include "decide/pipeline.h"

#include <iterator>
#include <utility>
#include <variant>

#include "detect/cause_groups.h"
#include "detect/derive.h"
#include "detect/io_contention.h"

namespace hvguard {

Pipeline::Pipeline(const Config& config, OwnPlace own)
    : config_(config), book_(config.incidents), planner_(config.policy, std::move(own)) {}

void Pipeline::set_config(const Config& config) {
  config_ = config;
  book_.set_config(config.incidents);
  planner_.set_config(config.policy);
}

void Pipeline::restore(std::vector<Incident> incidents) {
  restore_groups(detectors_.cause_groups, incidents);
  restore_io_contention(detectors_.io_contention, incidents);
  book_.restore(std::move(incidents), longest_open_after(config_));
}

PlannerInput Pipeline::planner_input(const std::vector<Incident>& incidents) const {
  const auto& contentions = detectors_.io_contention.contentions;
  return {.snapshot = previous_.get(),
          .facts = &facts_,
          .incidents = &incidents,
          .contentions = contentions ? &*contentions : nullptr};
}

TickResult Pipeline::step(std::shared_ptr<const Snapshot> snapshot, std::vector<Outcome> outcomes) {
  facts_ = derive(previous_.get(), *snapshot);
  DetectorsOutput out = run_detectors(config_, detectors_, *snapshot, facts_);
  auto changes =
      book_.update(snapshot->boot_time, snapshot->boot_id, std::move(out.findings), out.held);
  previous_ = std::move(snapshot);
  outcomes_ = std::move(outcomes);
  Plan plan = planner_.step(planner_input(book_.incidents()));
  return finish({.now = previous_->boot_time,
                 .interval = previous_->interval,
                 .snapshot = previous_.get(),
                 .facts = &facts_,
                 .blind = &out.blind},
                std::move(changes),
                std::move(plan));
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
  return finish({.now = now,
                 .interval = config_.sampler.interval,
                 .snapshot = nullptr,
                 .facts = nullptr,
                 .blind = &held},
                std::move(changes),
                planner_.sampler_late(now));
}

TickResult Pipeline::finish(ConditionsInput conditions_input,
                            std::vector<IncidentChange> changes,
                            Plan plan) {
  std::move(requested_changes_.begin(), requested_changes_.end(), std::back_inserter(changes));
  requested_changes_.clear();
  for (const Decision& decision : plan.decisions) {
    if (auto change = book_.decided(decision.incident_id, decision.time)) {
      changes.push_back(*std::move(change));
    }
  }
  TickResult result;
  result.snapshot = previous_;
  result.facts = facts_;
  result.changes = std::move(changes);
  result.incidents = book_.incidents();
  result.dropped_finding_count = book_.dropped_finding_count();
  result.mode = plan.mode;
  result.limits = std::move(plan.limits);
  result.decisions = std::move(plan.decisions);
  result.outcomes = outcomes_;

  const auto& cordon = planner_.admin().cordon;
  conditions_input.incidents = &result.incidents;
  conditions_input.mode = result.mode;
  conditions_input.limits = &result.limits;
  conditions_input.cordon = cordon ? &*cordon : nullptr;
  result.conditions = evaluate_conditions(conditions_, conditions_input);
  result.schedule_advice = advise_schedule(result.conditions, result.incidents);
  return result;
}

Result<AdminAnswer> Pipeline::request(const AdminRequest& request) {
  const std::vector<Incident> incidents = book_.incidents();
  auto answer = planner_.request(request, planner_input(incidents));
  const auto* const known = std::get_if<AcknowledgeIncidentAction>(&request.action);
  if (answer && known != nullptr && !request.validate_only) {
    const WallTime now = previous_ ? previous_->wall_time : WallTime();
    if (auto change = book_.acknowledge(
            known->incident_id, {.time = now, .who = request.who, .reason = request.reason})) {
      answer->incident = change->incident;
      requested_changes_.push_back(*std::move(change));
    }
  }
  return answer;
}

}  // namespace hvguard
