// Validated configuration as plain structs: made by config/ from TOML, read by everyone else.
// Defaults here are the defaults of packaging/hvguard.toml; a test compares them.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "model/limit.h"

namespace hvguard {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct SamplerConfig {
  Nanoseconds interval = seconds(1);  // 200 ms to 1 s: data older than 3 s are stale everywhere
  Nanoseconds rescan_interval = seconds(10);  // search for VMs that no event announced
  bool use_bpf = true;
};

struct VmFinderConfig {
  // Globs over the manager's executable base name; a KVM fd makes any process a VM manager.
  std::vector<std::string> executables = {
      "qemu-system-*", "qemu-kvm", "kvm", "firecracker", "cloud-hypervisor", "crosvm"};
  Nanoseconds probe_timeout = seconds(2);
};

struct HungTaskConfig {
  Nanoseconds open_after = seconds(10);
  Nanoseconds critical_after = seconds(30);  // or a quarter of the kernel's timeout, if sooner
};

struct PanicForecastConfig {
  Nanoseconds open_within = seconds(90);  // the panic window begins this soon
};

struct IoStallConfig {
  Nanoseconds open_after = seconds(5);
};

struct IoContentionConfig {
  Nanoseconds latency_bound = milliseconds(128);  // p99 of queue time, of any device but NVMe
  Nanoseconds nvme_latency_bound = milliseconds(32);
  double pressure_full_ratio = 0.4;  // of the host; over it a quarter of these bounds counts
  Nanoseconds open_after = seconds(3);
  std::uint32_t min_operations = 5;  // reads or writes that make a p99, within 5 s
};

struct AgentBlindConfig {
  std::uint32_t open_after_ticks = 3;
};

struct UncleanRebootConfig {
  Nanoseconds open_for = std::chrono::hours(1);  // after the boot
};

struct VmTopologyConfig {
  double pids_headroom_ratio = 0.8;  // of pids.max
};

struct IncidentBookConfig {
  // Resolves after the finding has been absent this long; doubled per flap up to the maximum.
  Nanoseconds resolve_after = seconds(5);
  Nanoseconds resolve_after_max = seconds(300);
  Nanoseconds flap_window = seconds(600);  // reopened within this after its end: the same incident
  std::uint32_t max_open = 1024;
  std::uint32_t max_resolved = 256;  // remembered for late readers
};

// What no limit may break, whoever wants it. Why these values: packaging/hvguard.toml.
struct SafetyConfig {
  // No io limit below these, in a second and on one device.
  std::uint64_t min_read_bytes = 16'000'000;
  std::uint64_t min_write_bytes = 16'000'000;
  std::uint32_t min_read_operations = 200;
  std::uint32_t min_write_operations = 200;
  // No cpu.max below so many cores for each vCPU: what counts is how long a thread that holds a
  // lock of the kernel may have to wait, and all threads share the quota.
  double min_cpu_cores_per_vcpu = 0.3;
  double max_limited_vm_ratio = 0.25;              // of all VMs, by dynamic limits; but always one
  std::uint32_t max_changes_per_minute = 30;       // by dynamic limits; releases are free
  Nanoseconds lease = seconds(60);                 // of a dynamic limit
  Nanoseconds max_lease = std::chrono::hours(24);  // that people may ask for
  double drain_ratio = 0.25;        // what is in flight drains in this of the hung-task timeout
  bool allow_write_limits = false;  // baselines included
  bool allow_cgroupfs_fallback = false;  // for a new limit, when PID 1 does not answer in 2 s
};

// All that are given must fit; of the globs in a list, one.
struct VmMatch {
  std::vector<std::string> vms;    // globs over VmIdentity::name
  std::vector<std::string> units;  // globs over VmIdentity::unit
  // Both inclusive; a VM whose guest memory is not known fits neither.
  std::optional<std::uint64_t> min_guest_memory_bytes;
  std::optional<std::uint64_t> max_guest_memory_bytes;
};

// What a VM manager needs above guest memory, at least: a fixed part and a share of guest memory.
// Below the first the guest itself stands still while it fills its memory; the second kills.
inline constexpr std::uint64_t kMinMemoryHighOverhead = std::uint64_t{1} << 30;
inline constexpr std::uint64_t kMinMemoryMaxOverhead = std::uint64_t{2} << 30;
[[nodiscard]] constexpr std::uint64_t least_memory_high_overhead(std::uint64_t guest_memory) {
  return std::max(kMinMemoryHighOverhead, guest_memory / 10);
}
[[nodiscard]] constexpr std::uint64_t least_memory_max_overhead(std::uint64_t guest_memory) {
  return kMinMemoryMaxOverhead + guest_memory / 4;
}
// A VM manager that cannot start a thread aborts, or stops its guest's IO.
inline constexpr std::uint32_t kMinPidsMax = 4096;

// Limits that a VM has as long as it lives; none: not hvguard's business.
struct VmBaseline {
  std::optional<std::uint32_t> io_weight;
  // In a second, on each of the devices.
  std::optional<std::uint64_t> read_bytes;
  std::optional<std::uint32_t> read_operations;
  std::optional<std::uint64_t> write_bytes;
  std::optional<std::uint32_t> write_operations;
  std::vector<std::string> devices;  // globs over names of whole disks; empty: all the VM uses
  std::optional<std::uint64_t> memory_low_bytes;
  // Above guest memory; where the least of above is more, that counts.
  std::optional<std::uint64_t> memory_high_overhead_bytes;
  std::optional<std::uint64_t> memory_max_overhead_bytes;
  std::optional<std::uint64_t> swap_max_bytes;
  std::optional<std::uint32_t> pids_max;
  std::optional<double> cpu_max_cores;
  std::optional<std::uint32_t> cpu_weight;
};

struct VmClass {
  std::string name;  // unique
  VmMatch match;
  std::optional<LimitMode> mode;  // may be less than the host's; more counts as the host's
  bool is_protected = false;
  VmBaseline baseline;
};

struct PolicyConfig {
  LimitMode mode = LimitMode::kObserve;
  // Globs; what they name is never throttled, and counts as a victim.
  std::vector<std::string> protected_vms;
  std::vector<std::string> protected_units;
  std::vector<VmClass> classes;  // the first that fits wins
  SafetyConfig safety;
};

struct CoreSocketConfig {
  std::string path = "/run/hvguard/core.sock";
  std::string gateway_user = "hvguard-gateway";  // may connect besides root
  std::string spool_user = "hvguard-spool";      // may connect, and attach as the spool
};

enum class LogLevel { kDebug, kInfo, kWarning, kError };

struct LogConfig {
  LogLevel level = LogLevel::kInfo;
};

struct Config {
  SamplerConfig sampler;
  VmFinderConfig vm_finder;
  HungTaskConfig hung_task;
  PanicForecastConfig panic_forecast;
  IoStallConfig io_stall;
  IoContentionConfig io_contention;
  VmTopologyConfig vm_topology;
  AgentBlindConfig agent_blind;
  UncleanRebootConfig unclean_reboot;
  IncidentBookConfig incidents;
  PolicyConfig policy;
  CoreSocketConfig core_socket;
  LogConfig log;
};

}  // namespace hvguard
