// Validated configuration as plain structs: made by config/ from TOML, read by everyone else.
// Defaults here are the defaults of packaging/hvguard.toml; a test compares them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"

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
  CoreSocketConfig core_socket;
  LogConfig log;
};

}  // namespace hvguard
