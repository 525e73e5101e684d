// One switch per enumeration, without default: a new enumerator is a compile error here, and
// tests/unit/publish walks through all of them.
#include "publish/to_proto.h"

namespace hvguard::publish {

v1::Vm::NameSource to_proto(VmNameSource source) {
  switch (source) {
    case VmNameSource::kMachined:
      return v1::Vm::NAME_SOURCE_MACHINED;
    case VmNameSource::kCommandLine:
      return v1::Vm::NAME_SOURCE_COMMAND_LINE;
    case VmNameSource::kUnit:
      return v1::Vm::NAME_SOURCE_UNIT;
    case VmNameSource::kPid:
      return v1::Vm::NAME_SOURCE_PID;
  }
  return v1::Vm::NAME_SOURCE_UNSPECIFIED;
}

v1::Vm::Manager to_proto(VmManager manager) {
  switch (manager) {
    case VmManager::kUnknown:
      return v1::Vm::MANAGER_UNSPECIFIED;
    case VmManager::kQemu:
      return v1::Vm::MANAGER_QEMU;
    case VmManager::kFirecracker:
      return v1::Vm::MANAGER_FIRECRACKER;
    case VmManager::kCloudHypervisor:
      return v1::Vm::MANAGER_CLOUD_HYPERVISOR;
    case VmManager::kCrosvm:
      return v1::Vm::MANAGER_CROSVM;
  }
  return v1::Vm::MANAGER_UNSPECIFIED;
}

v1::Vm::Accelerator to_proto(Accelerator accelerator) {
  switch (accelerator) {
    case Accelerator::kUnknown:
      return v1::Vm::ACCELERATOR_UNSPECIFIED;
    case Accelerator::kKvm:
      return v1::Vm::ACCELERATOR_KVM;
    case Accelerator::kTcg:
      return v1::Vm::ACCELERATOR_TCG;
  }
  return v1::Vm::ACCELERATOR_UNSPECIFIED;
}

v1::Vm::IoAttribution to_proto(IoAttribution attribution) {
  switch (attribution) {
    case IoAttribution::kUnknown:
      return v1::Vm::IO_ATTRIBUTION_UNSPECIFIED;
    case IoAttribution::kCgroup:
      return v1::Vm::IO_ATTRIBUTION_CGROUP;
    case IoAttribution::kSubmitter:
      return v1::Vm::IO_ATTRIBUTION_SUBMITTER;
  }
  return v1::Vm::IO_ATTRIBUTION_UNSPECIFIED;
}

v1::BlockedTask::State to_proto(BlockedClass blocked_class) {
  switch (blocked_class) {
    case BlockedClass::kHard:
      return v1::BlockedTask::STATE_HARD;
    case BlockedClass::kKillable:
      return v1::BlockedTask::STATE_KILLABLE;
    case BlockedClass::kFrozen:
      return v1::BlockedTask::STATE_FROZEN;
    case BlockedClass::kUnknown:
      return v1::BlockedTask::STATE_UNKNOWN;
  }
  return v1::BlockedTask::STATE_UNSPECIFIED;
}

v1::Incident::Kind to_proto(IncidentKind kind) {
  switch (kind) {
    case IncidentKind::kHungTask:
      return v1::Incident::KIND_HUNG_TASK;
    case IncidentKind::kPanicForecast:
      return v1::Incident::KIND_PANIC_FORECAST;
    case IncidentKind::kIoStall:
      return v1::Incident::KIND_IO_STALL;
    case IncidentKind::kVmTopology:
      return v1::Incident::KIND_VM_TOPOLOGY;
    case IncidentKind::kAgentBlind:
      return v1::Incident::KIND_AGENT_BLIND;
    case IncidentKind::kUncleanReboot:
      return v1::Incident::KIND_UNCLEAN_REBOOT;
    case IncidentKind::kIoContention:
      return v1::Incident::KIND_IO_CONTENTION;
  }
  return v1::Incident::KIND_UNSPECIFIED;
}

v1::Incident::State to_proto(IncidentState state) {
  switch (state) {
    case IncidentState::kOpen:
      return v1::Incident::STATE_OPEN;
    case IncidentState::kResolved:
      return v1::Incident::STATE_RESOLVED;
  }
  return v1::Incident::STATE_UNSPECIFIED;
}

v1::Incident::Severity to_proto(Severity severity) {
  switch (severity) {
    case Severity::kInfo:
      return v1::Incident::SEVERITY_INFO;
    case Severity::kWarning:
      return v1::Incident::SEVERITY_WARNING;
    case Severity::kCritical:
      return v1::Incident::SEVERITY_CRITICAL;
  }
  return v1::Incident::SEVERITY_UNSPECIFIED;
}

v1::HungTaskEvidence::Cause to_proto(HungTaskCause cause) {
  switch (cause) {
    case HungTaskCause::kBlockIo:
      return v1::HungTaskEvidence::CAUSE_BLOCK_IO;
    case HungTaskCause::kFilesystemJournal:
      return v1::HungTaskEvidence::CAUSE_FILESYSTEM_JOURNAL;
    case HungTaskCause::kKvm:
      return v1::HungTaskEvidence::CAUSE_KVM;
    case HungTaskCause::kSwapIn:
      return v1::HungTaskEvidence::CAUSE_SWAP_IN;
    case HungTaskCause::kReclaim:
      return v1::HungTaskEvidence::CAUSE_RECLAIM;
    case HungTaskCause::kLock:
      return v1::HungTaskEvidence::CAUSE_LOCK;
    case HungTaskCause::kFrozenFs:
      return v1::HungTaskEvidence::CAUSE_FROZEN_FS;
    case HungTaskCause::kSuspendedDm:
      return v1::HungTaskEvidence::CAUSE_SUSPENDED_DM;
    case HungTaskCause::kNetworkFs:
      return v1::HungTaskEvidence::CAUSE_NETWORK_FS;
    case HungTaskCause::kThrottledByUs:
      return v1::HungTaskEvidence::CAUSE_THROTTLED_BY_US;
    case HungTaskCause::kOther:
      return v1::HungTaskEvidence::CAUSE_OTHER;
  }
  return v1::HungTaskEvidence::CAUSE_UNSPECIFIED;
}

v1::VmTopologyEvidence::Problem to_proto(VmTopologyEvidence::Problem problem) {
  switch (problem) {
    case VmTopologyEvidence::Problem::kSharedUnit:
      return v1::VmTopologyEvidence::PROBLEM_SHARED_UNIT;
    case VmTopologyEvidence::Problem::kKillMode:
      return v1::VmTopologyEvidence::PROBLEM_KILL_MODE;
    case VmTopologyEvidence::Problem::kMissingControllers:
      return v1::VmTopologyEvidence::PROBLEM_MISSING_CONTROLLERS;
    case VmTopologyEvidence::Problem::kPidsHeadroom:
      return v1::VmTopologyEvidence::PROBLEM_PIDS_HEADROOM;
  }
  return v1::VmTopologyEvidence::PROBLEM_UNSPECIFIED;
}

v1::Condition::Kind to_proto(ConditionKind kind) {
  switch (kind) {
    case ConditionKind::kIoPressure:
      return v1::Condition::KIND_IO_PRESSURE;
    case ConditionKind::kMemoryPressure:
      return v1::Condition::KIND_MEMORY_PRESSURE;
    case ConditionKind::kSwapStorm:
      return v1::Condition::KIND_SWAP_STORM;
    case ConditionKind::kHungTasks:
      return v1::Condition::KIND_HUNG_TASKS;
    case ConditionKind::kPanicForecast:
      return v1::Condition::KIND_PANIC_FORECAST;
    case ConditionKind::kVmZombies:
      return v1::Condition::KIND_VM_ZOMBIES;
    case ConditionKind::kUnitsUnhealthy:
      return v1::Condition::KIND_UNITS_UNHEALTHY;
    case ConditionKind::kAgentBlind:
      return v1::Condition::KIND_AGENT_BLIND;
    case ConditionKind::kThrottling:
      return v1::Condition::KIND_THROTTLING;
    case ConditionKind::kCordoned:
      return v1::Condition::KIND_CORDONED;
  }
  return v1::Condition::KIND_UNSPECIFIED;
}

v1::Condition::State to_proto(ConditionState state) {
  switch (state) {
    case ConditionState::kUnknown:
      return v1::Condition::STATE_UNKNOWN;
    case ConditionState::kFalse:
      return v1::Condition::STATE_FALSE;
    case ConditionState::kTrue:
      return v1::Condition::STATE_TRUE;
  }
  return v1::Condition::STATE_UNSPECIFIED;
}

v1::ScheduleAdvice::State to_proto(Schedulable schedulable) {
  switch (schedulable) {
    case Schedulable::kUnknown:
      return v1::ScheduleAdvice::STATE_UNKNOWN;
    case Schedulable::kYes:
      return v1::ScheduleAdvice::STATE_YES;
    case Schedulable::kNo:
      return v1::ScheduleAdvice::STATE_NO;
    case Schedulable::kDrainAdvised:
      return v1::ScheduleAdvice::STATE_DRAIN_ADVISED;
  }
  return v1::ScheduleAdvice::STATE_UNSPECIFIED;
}

v1::SourceStatus::State to_proto(SourceState state) {
  switch (state) {
    case SourceState::kOk:
      return v1::SourceStatus::STATE_OK;
    case SourceState::kDegraded:
      return v1::SourceStatus::STATE_DEGRADED;
    case SourceState::kBlind:
      return v1::SourceStatus::STATE_BLIND;
    case SourceState::kUnknown:
      return v1::SourceStatus::STATE_UNKNOWN;
  }
  return v1::SourceStatus::STATE_UNSPECIFIED;
}

}  // namespace hvguard::publish
