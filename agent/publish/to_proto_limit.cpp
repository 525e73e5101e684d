#include "publish/to_proto_limit.h"

#include <algorithm>

#include "publish/safe_line.h"

namespace hvguard::publish {
namespace {

constexpr std::size_t kMaxReasonBytes = 512;

void set_key(v1::Limit& out, const LimitKey& key, const Labels& labels) {
  out.set_vm_id(to_string(key.vm));
  if (const auto name = labels.vms.find(key.vm); name != labels.vms.end()) {
    out.set_vm_name(std::string(name->second));
  }
  out.set_kind(to_proto(key.kind));
  if (is_per_device(key.kind)) {
    *out.mutable_device() = to_proto(key.device, labels.devices);
  }
}

void set_outcome(v1::Limit& out, const Outcome& outcome, const ClockPair& clocks) {
  out.set_lever(to_proto(outcome.lever));
  if (outcome.in_kernel) {
    out.set_in_kernel_value(*outcome.in_kernel);
  }
  *out.mutable_since_time() = to_proto(outcome.since, clocks);
  out.set_failed_attempt_count(outcome.failed_attempts);
  out.set_detail(safe_line(outcome.detail, kMaxReasonBytes));
}

// Outcomes are as old as the beginning of the tick, limits as new as its end: what is in force or
// released may not be what is wanted now.
v1::Limit::State state_of(const Limit* limit, const Outcome& outcome) {
  const bool wanted = limit != nullptr && !limit->dry_run;
  switch (outcome.state) {
    case OutcomeState::kInForce:
      return wanted && limit->value == outcome.wanted ? v1::Limit::STATE_IN_FORCE
                                                      : v1::Limit::STATE_PENDING;
    case OutcomeState::kReleased:
      if (wanted) {
        return v1::Limit::STATE_PENDING;
      }
      return limit != nullptr ? v1::Limit::STATE_DRY_RUN : v1::Limit::STATE_RELEASED;
    case OutcomeState::kPending:
    case OutcomeState::kDiffers:
    case OutcomeState::kFailed:
    case OutcomeState::kForeign:
      break;
  }
  return to_proto(outcome.state);
}

v1::Limit joined(const Limit* limit,
                 const Outcome* outcome,
                 const Labels& labels,
                 const ClockPair& clocks) {
  v1::Limit out;
  if (limit != nullptr) {
    out = to_proto(*limit, labels, clocks);
  } else {
    set_key(out, outcome->key, labels);
  }
  if (outcome != nullptr) {
    set_outcome(out, *outcome, clocks);
    out.set_state(state_of(limit, *outcome));
  }
  return out;
}

}  // namespace

v1::AgentStatus::Mode to_proto(LimitMode mode) {
  switch (mode) {
    case LimitMode::kObserve:
      return v1::AgentStatus::MODE_OBSERVE;
    case LimitMode::kDryRun:
      return v1::AgentStatus::MODE_DRY_RUN;
    case LimitMode::kEnforce:
      return v1::AgentStatus::MODE_ENFORCE;
  }
  return v1::AgentStatus::MODE_UNSPECIFIED;
}

v1::Limit::Kind to_proto(LimitKind kind) {
  switch (kind) {
    case LimitKind::kReadBytes:
      return v1::Limit::KIND_READ_BYTES;
    case LimitKind::kReadOperations:
      return v1::Limit::KIND_READ_OPERATIONS;
    case LimitKind::kWriteBytes:
      return v1::Limit::KIND_WRITE_BYTES;
    case LimitKind::kWriteOperations:
      return v1::Limit::KIND_WRITE_OPERATIONS;
    case LimitKind::kIoWeight:
      return v1::Limit::KIND_IO_WEIGHT;
    case LimitKind::kMemoryLow:
      return v1::Limit::KIND_MEMORY_LOW;
    case LimitKind::kMemoryHigh:
      return v1::Limit::KIND_MEMORY_HIGH;
    case LimitKind::kMemoryMax:
      return v1::Limit::KIND_MEMORY_MAX;
    case LimitKind::kSwapMax:
      return v1::Limit::KIND_SWAP_MAX;
    case LimitKind::kPidsMax:
      return v1::Limit::KIND_PIDS_MAX;
    case LimitKind::kCpuMax:
      return v1::Limit::KIND_CPU_MAX;
    case LimitKind::kCpuWeight:
      return v1::Limit::KIND_CPU_WEIGHT;
  }
  return v1::Limit::KIND_UNSPECIFIED;
}

v1::Limit::Origin to_proto(LimitOrigin origin) {
  switch (origin) {
    case LimitOrigin::kBaseline:
      return v1::Limit::ORIGIN_BASELINE;
    case LimitOrigin::kGuardRule:
      return v1::Limit::ORIGIN_GUARD_RULE;
    case LimitOrigin::kOperator:
      return v1::Limit::ORIGIN_OPERATOR;
    case LimitOrigin::kControlPlane:
      return v1::Limit::ORIGIN_CONTROL_PLANE;
  }
  return v1::Limit::ORIGIN_UNSPECIFIED;
}

v1::Limit::State to_proto(OutcomeState state) {
  switch (state) {
    case OutcomeState::kPending:
      return v1::Limit::STATE_PENDING;
    case OutcomeState::kInForce:
      return v1::Limit::STATE_IN_FORCE;
    case OutcomeState::kDiffers:
      return v1::Limit::STATE_DIFFERS;
    case OutcomeState::kFailed:
      return v1::Limit::STATE_FAILED;
    case OutcomeState::kForeign:
      return v1::Limit::STATE_FOREIGN;
    case OutcomeState::kReleased:
      return v1::Limit::STATE_RELEASED;
  }
  return v1::Limit::STATE_UNSPECIFIED;
}

v1::Limit::Lever to_proto(LeverKind lever) {
  switch (lever) {
    case LeverKind::kSystemd:
      return v1::Limit::LEVER_SYSTEMD;
    case LeverKind::kCgroupfs:
      return v1::Limit::LEVER_CGROUPFS;
  }
  return v1::Limit::LEVER_UNSPECIFIED;
}

v1::Decision::Step to_proto(DecisionStep step) {
  switch (step) {
    case DecisionStep::kSet:
      return v1::Decision::STEP_SET;
    case DecisionStep::kTightened:
      return v1::Decision::STEP_TIGHTENED;
    case DecisionStep::kLoosened:
      return v1::Decision::STEP_LOOSENED;
    case DecisionStep::kRemoved:
      return v1::Decision::STEP_REMOVED;
    case DecisionStep::kRefused:
      return v1::Decision::STEP_REFUSED;
    case DecisionStep::kIneffective:
      return v1::Decision::STEP_INEFFECTIVE;
    case DecisionStep::kNoLever:
      return v1::Decision::STEP_NO_LEVER;
  }
  return v1::Decision::STEP_UNSPECIFIED;
}

std::optional<LimitKind> limit_kind_from_proto(v1::Limit::Kind kind) {
  for (std::size_t i = 0; i < kLimitKindCount; ++i) {
    if (to_proto(static_cast<LimitKind>(i)) == kind) {
      return static_cast<LimitKind>(i);
    }
  }
  return std::nullopt;
}

std::optional<LimitMode> limit_mode_from_proto(v1::AgentStatus::Mode mode) {
  for (const LimitMode each : {LimitMode::kObserve, LimitMode::kDryRun, LimitMode::kEnforce}) {
    if (to_proto(each) == mode) {
      return each;
    }
  }
  return std::nullopt;
}

Labels labels_of(const Snapshot* snapshot) {
  Labels labels;
  if (snapshot != nullptr) {
    for (const VmReading& vm : snapshot->vms) {
      labels.vms.emplace(vm.id, vm.identity.name);
    }
    for (const DeviceReading& device : snapshot->devices) {
      labels.devices.emplace(device.id, device.name);
    }
  }
  return labels;
}

v1::Limit to_proto(const Limit& limit, const Labels& labels, const ClockPair& clocks) {
  v1::Limit out;
  set_key(out, limit.key, labels);
  out.set_value(limit.value);
  out.set_origin(to_proto(limit.origin));
  out.set_dry_run(limit.dry_run);
  out.set_reason(safe_line(limit.reason, kMaxReasonBytes));
  out.set_incident_id(limit.incident_id);
  if (limit.expire_time) {
    *out.mutable_expire_time() = to_proto(*limit.expire_time, clocks);
  }
  out.set_state(limit.dry_run ? v1::Limit::STATE_DRY_RUN : v1::Limit::STATE_PENDING);
  return out;
}

v1::Decision to_proto(const Decision& decision,
                      std::uint64_t sequence,
                      const Labels& labels,
                      const ClockPair& clocks) {
  v1::Decision out;
  out.set_sequence(sequence);
  out.set_step(to_proto(decision.step));
  *out.mutable_decide_time() = to_proto(decision.time, clocks);
  if (decision.vm) {
    out.set_vm_id(to_string(*decision.vm));
    if (const auto name = labels.vms.find(*decision.vm); name != labels.vms.end()) {
      out.set_vm_name(std::string(name->second));
    }
  }
  if (decision.kind) {
    out.set_kind(to_proto(*decision.kind));
  }
  if (decision.device) {
    *out.mutable_device() = to_proto(*decision.device, labels.devices);
  }
  if (decision.value) {
    out.set_value(*decision.value);
  }
  out.set_dry_run(decision.dry_run);
  out.set_reason(safe_line(decision.reason, kMaxReasonBytes));
  out.set_incident_id(decision.incident_id);
  return out;
}

std::vector<v1::Limit> limits_to_proto(const TickResult& result, const ClockPair& now) {
  const ClockPair clocks = clocks_of(result, now);
  const Labels labels = labels_of(result.snapshot.get());
  std::vector<v1::Limit> out;
  out.reserve(std::max(result.limits.size(), result.outcomes.size()));
  auto limit = result.limits.begin();
  auto outcome = result.outcomes.begin();
  // Both lists are sorted by key, each key once.
  while (limit != result.limits.end() || outcome != result.outcomes.end()) {
    const bool has_limit = limit != result.limits.end() &&
                           (outcome == result.outcomes.end() || limit->key <= outcome->key);
    const bool has_outcome = outcome != result.outcomes.end() &&
                             (limit == result.limits.end() || outcome->key <= limit->key);
    out.push_back(
        joined(has_limit ? &*limit : nullptr, has_outcome ? &*outcome : nullptr, labels, clocks));
    limit += has_limit ? 1 : 0;
    outcome += has_outcome ? 1 : 0;
  }
  return out;
}

void count_limits(const std::vector<v1::Limit>& limits, v1::StatusCounts& counts) {
  for (const v1::Limit& limit : limits) {
    switch (limit.state()) {
      case v1::Limit::STATE_IN_FORCE:
        counts.set_limit_in_force_count(counts.limit_in_force_count() + 1);
        break;
      case v1::Limit::STATE_DRY_RUN:
        counts.set_dry_run_limit_count(counts.dry_run_limit_count() + 1);
        break;
      case v1::Limit::STATE_DIFFERS:
      case v1::Limit::STATE_FAILED:
        counts.set_failed_limit_count(counts.failed_limit_count() + 1);
        break;
      default:
        break;
    }
  }
}

}  // namespace hvguard::publish
