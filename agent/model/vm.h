// One virtual machine as the host sees it: its manager process, its cgroup, its readings.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/counter.h"
#include "base/ids.h"
#include "base/time.h"

namespace hvguard {

enum class VmManager { kUnknown, kQemu, kFirecracker, kCloudHypervisor, kCrosvm };

enum class Accelerator { kUnknown, kKvm, kTcg };

// Which of the sources in BEHAVIOUR.md section 1 the name came from, best first.
enum class VmNameSource { kMachined, kCommandLine, kUnit, kPid };

// What is learned once, at discovery. Fields from the probe stay absent until it answers, and for
// good if it cannot (VmIdentity::probe_error says why).
struct VmIdentity {
  std::string name;  // safe text, at most 128 bytes; never empty ("pid-4711" if all else fails)
  VmNameSource name_source = VmNameSource::kPid;
  std::string uuid;  // empty if none is known
  VmManager manager = VmManager::kUnknown;
  std::string executable;  // base name, safe text
  Accelerator accelerator = Accelerator::kUnknown;
  std::optional<std::uint64_t> guest_memory_bytes;  // from the command line
  std::optional<std::uint32_t> vcpu_count;
  std::string unit;         // systemd unit that holds all its threads; empty if none
  std::string cgroup_path;  // of that unit (or of the manager), relative to the v2 mount: "/a/b"
  std::optional<std::string> kill_mode;  // of the unit: control-group, mixed, process, none
  bool probed = false;                   // the probe has answered
  std::string probe_error;               // why it could not; empty if fine
};

struct PressureTotals {
  Counter some_microseconds;
  std::optional<Counter> full_microseconds;
};

// cgroup v2 files of the VM's cgroup; each absent if its controller is not enabled there.
struct VmCgroupReading {
  std::optional<Counter> cpu_microseconds;
  std::optional<std::uint64_t> memory_bytes;
  std::optional<std::uint64_t> swap_bytes;
  std::optional<std::uint64_t> memory_high_bytes;  // none also when "max"
  std::optional<std::uint64_t> memory_max_bytes;   // none also when "max"
  std::optional<std::uint64_t> pids_count;
  std::optional<std::uint64_t> pids_max;  // none also when "max"
  std::optional<PressureTotals> cpu_pressure;
  std::optional<PressureTotals> memory_pressure;
  std::optional<PressureTotals> io_pressure;
};

// What the topology lint judges (BEHAVIOUR.md section 1).
struct VmTopology {
  // Processes in the VM's unit that belong to no VM, and other VMs there; none if not known.
  std::optional<std::uint32_t> foreign_process_count;
  std::optional<std::uint32_t> other_vm_count;
  std::vector<std::string> missing_controllers;  // of cpu, io, memory, pids
};

// How block IO is given to this VM.
enum class IoAttribution {
  kUnknown,
  kCgroup,     // by the cgroup that the bio carries: writeback and kernel threads included
  kSubmitter,  // by the submitting process: the cgroup has no io controller, or is shared
};

struct VmReading {
  VmId id;
  VmIdentity identity;
  BootTime found_time;
  std::vector<CgroupId> cgroups;  // the unit's directory and those below it; at most 64
  std::optional<VmCgroupReading> cgroup;
  VmTopology topology;
  IoAttribution io_attribution = IoAttribution::kUnknown;
  // When a signal that ends processes was last sent to it; none: never, or eBPF cannot tell.
  std::optional<BootTime> stop_signal_time;
};
inline constexpr std::size_t kMaxVms = 2048;

// A VM that is gone: kept for the control plane's tombstone, never as a live record.
struct VmDeparture {
  VmId id;
  std::string name;
  BootTime exit_time;
};

}  // namespace hvguard
