// Facts: what follows from two Snapshots (rates, shares, joins). Made by detect/derive, pure.
// Every value is absent where an input was missing, went back, or has no predecessor.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "model/snapshot.h"

namespace hvguard {

struct IoRates {
  std::optional<double> operations_per_second;
  std::optional<double> bytes_per_second;
};

// Of the requests completed in the span; none if there were none or they are not known.
struct IoLatency {
  std::optional<Nanoseconds> p50;  // upper end of the bucket that holds it
  std::optional<Nanoseconds> p99;
};

struct VmDeviceFacts {
  DeviceId device;
  IoRates read;
  IoRates write;
  IoLatency read_latency;   // queue time: what the guest feels
  IoLatency write_latency;  // queue time
  std::optional<std::uint64_t> in_flight_count;
};

struct VmFacts {
  VmId id;
  std::optional<double> cpu_cores;  // CPU seconds per second
  std::optional<double> memory_full_pressure_ratio;
  std::optional<double> io_full_pressure_ratio;
  std::vector<VmDeviceFacts> devices;
  IoRates read;  // over all devices that are not stacked on another one in the list
  IoRates write;
  std::uint32_t blocked_task_count = 0;  // hard or unknown class
};

struct DeviceFacts {
  DeviceId id;
  std::string name;
  IoRates read;
  IoRates write;
  std::optional<double> busy_ratio;
};

struct HostFacts {
  std::optional<double> swap_in_bytes_per_second;
  std::optional<double> swap_out_bytes_per_second;
  std::optional<double> major_faults_per_second;
  // Share of the span in which some or all tasks stalled, 0 to 1.
  std::optional<double> cpu_some_ratio;
  std::optional<double> memory_some_ratio;
  std::optional<double> memory_full_ratio;
  std::optional<double> io_some_ratio;
  std::optional<double> io_full_ratio;
  std::optional<double> own_cpu_cores;  // hvguardd itself
};

struct Facts {
  std::optional<Nanoseconds> span;  // between the two Snapshots; none for the first one
  HostFacts host;
  std::vector<VmFacts> vms;
  std::vector<DeviceFacts> devices;
  // Which VM a blocked task belongs to: one entry per snapshot.tasks->blocked, in its order.
  std::vector<std::optional<VmId>> vm_of_blocked;
  // Timer frequency of the kernel, from jiffies against the boot clock over two Snapshots.
  std::optional<std::uint32_t> jiffies_per_second;
};

}  // namespace hvguard
