#include "model/limit.h"

namespace hvguard {

std::string_view to_string(LimitKind kind) {
  switch (kind) {
    case LimitKind::kReadBytes:
      return "io.max rbps";
    case LimitKind::kReadOperations:
      return "io.max riops";
    case LimitKind::kWriteBytes:
      return "io.max wbps";
    case LimitKind::kWriteOperations:
      return "io.max wiops";
    case LimitKind::kIoWeight:
      return "io.weight";
    case LimitKind::kMemoryLow:
      return "memory.low";
    case LimitKind::kMemoryHigh:
      return "memory.high";
    case LimitKind::kMemoryMax:
      return "memory.max";
    case LimitKind::kSwapMax:
      return "memory.swap.max";
    case LimitKind::kPidsMax:
      return "pids.max";
    case LimitKind::kCpuMax:
      return "cpu.max";
    case LimitKind::kCpuWeight:
      return "cpu.weight";
  }
  return "?";
}

std::string_view to_string(LimitMode mode) {
  switch (mode) {
    case LimitMode::kObserve:
      return "observe";
    case LimitMode::kDryRun:
      return "dry_run";
    case LimitMode::kEnforce:
      return "enforce";
  }
  return "?";
}

std::string_view to_string(LimitOrigin origin) {
  switch (origin) {
    case LimitOrigin::kBaseline:
      return "baseline";
    case LimitOrigin::kGuardRule:
      return "guard_rule";
    case LimitOrigin::kOperator:
      return "operator";
    case LimitOrigin::kControlPlane:
      return "control_plane";
  }
  return "?";
}

std::string_view to_string(DecisionStep step) {
  switch (step) {
    case DecisionStep::kSet:
      return "set";
    case DecisionStep::kTightened:
      return "tightened";
    case DecisionStep::kLoosened:
      return "loosened";
    case DecisionStep::kRemoved:
      return "removed";
    case DecisionStep::kRefused:
      return "refused";
    case DecisionStep::kIneffective:
      return "ineffective";
    case DecisionStep::kNoLever:
      return "no_lever";
  }
  return "?";
}

std::string_view to_string(OutcomeState state) {
  switch (state) {
    case OutcomeState::kPending:
      return "pending";
    case OutcomeState::kInForce:
      return "in_force";
    case OutcomeState::kDiffers:
      return "differs";
    case OutcomeState::kFailed:
      return "failed";
    case OutcomeState::kForeign:
      return "foreign";
    case OutcomeState::kReleased:
      return "released";
  }
  return "?";
}

std::string_view to_string(LeverKind lever) {
  return lever == LeverKind::kSystemd ? "systemd" : "cgroupfs";
}

}  // namespace hvguard
