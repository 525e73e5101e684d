#include "model/names.h"

namespace hvguard {

std::string_view to_string(Source source) {
  switch (source) {
    case Source::kTasks:
      return "tasks";
    case Source::kBlockIo:
      return "block_io";
    case Source::kLifecycle:
      return "lifecycle";
    case Source::kVmFinder:
      return "vm_finder";
    case Source::kVmProbe:
      return "vm_probe";
    case Source::kVmCgroups:
      return "vm_cgroups";
    case Source::kPressure:
      return "pressure";
    case Source::kVmstat:
      return "vmstat";
    case Source::kMeminfo:
      return "meminfo";
    case Source::kLoadavg:
      return "loadavg";
    case Source::kDiskstats:
      return "diskstats";
    case Source::kBlockDevices:
      return "block_devices";
    case Source::kHungTaskSysctls:
      return "hung_task_sysctls";
    case Source::kPreviousBoot:
      return "previous_boot";
  }
  return "?";
}

std::string_view to_string(SourceState state) {
  switch (state) {
    case SourceState::kOk:
      return "ok";
    case SourceState::kDegraded:
      return "degraded";
    case SourceState::kBlind:
      return "blind";
    case SourceState::kUnknown:
      return "unknown";
  }
  return "?";
}

std::string_view to_string(BlockedClass blocked_class) {
  switch (blocked_class) {
    case BlockedClass::kHard:
      return "hard";
    case BlockedClass::kKillable:
      return "killable";
    case BlockedClass::kFrozen:
      return "frozen";
    case BlockedClass::kUnknown:
      return "unknown";
  }
  return "?";
}

std::string_view to_string(LockType type) {
  switch (type) {
    case LockType::kMutex:
      return "mutex";
    case LockType::kSemaphore:
      return "semaphore";
    case LockType::kRwsemReader:
      return "rwsem (reader)";
    case LockType::kRwsemWriter:
      return "rwsem (writer)";
  }
  return "?";
}

std::string_view to_string(IncidentKind kind) {
  switch (kind) {
    case IncidentKind::kHungTask:
      return "hung_task";
    case IncidentKind::kPanicForecast:
      return "panic_forecast";
    case IncidentKind::kIoStall:
      return "io_stall";
    case IncidentKind::kVmTopology:
      return "vm_topology";
    case IncidentKind::kAgentBlind:
      return "agent_blind";
    case IncidentKind::kUncleanReboot:
      return "unclean_reboot";
    case IncidentKind::kIoContention:
      return "io_contention";
  }
  return "?";
}

std::string_view to_string(Severity severity) {
  switch (severity) {
    case Severity::kInfo:
      return "info";
    case Severity::kWarning:
      return "warning";
    case Severity::kCritical:
      return "critical";
  }
  return "?";
}

std::string_view to_string(HungTaskCause cause) {
  switch (cause) {
    case HungTaskCause::kBlockIo:
      return "block_io";
    case HungTaskCause::kFilesystemJournal:
      return "filesystem_journal";
    case HungTaskCause::kKvm:
      return "kvm";
    case HungTaskCause::kSwapIn:
      return "swap_in";
    case HungTaskCause::kReclaim:
      return "reclaim";
    case HungTaskCause::kLock:
      return "lock";
    case HungTaskCause::kFrozenFs:
      return "frozen_fs";
    case HungTaskCause::kSuspendedDm:
      return "suspended_dm";
    case HungTaskCause::kNetworkFs:
      return "network_fs";
    case HungTaskCause::kThrottledByUs:
      return "throttled_by_us";
    case HungTaskCause::kOther:
      return "other";
  }
  return "?";
}

std::string_view to_string(ConditionKind kind) {
  switch (kind) {
    case ConditionKind::kIoPressure:
      return "IoPressure";
    case ConditionKind::kMemoryPressure:
      return "MemoryPressure";
    case ConditionKind::kSwapStorm:
      return "SwapStorm";
    case ConditionKind::kHungTasks:
      return "HungTasks";
    case ConditionKind::kPanicForecast:
      return "PanicForecast";
    case ConditionKind::kVmZombies:
      return "VmZombies";
    case ConditionKind::kUnitsUnhealthy:
      return "UnitsUnhealthy";
    case ConditionKind::kAgentBlind:
      return "AgentBlind";
    case ConditionKind::kThrottling:
      return "Throttling";
    case ConditionKind::kCordoned:
      return "Cordoned";
  }
  return "?";
}

std::string_view to_string(VmManager manager) {
  switch (manager) {
    case VmManager::kUnknown:
      return "unknown";
    case VmManager::kQemu:
      return "qemu";
    case VmManager::kFirecracker:
      return "firecracker";
    case VmManager::kCloudHypervisor:
      return "cloud-hypervisor";
    case VmManager::kCrosvm:
      return "crosvm";
  }
  return "?";
}

}  // namespace hvguard
