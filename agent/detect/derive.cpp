#include "detect/derive.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <span>
#include <unordered_map>

#include "detect/device_stack.h"
#include "detect/vm_join.h"

namespace hvguard {
namespace {

// Debian and all kernels hvguard supports run on 4 KiB pages (x86-64; arm64 with 4K_PAGES).
constexpr double kPageBytes = 4096;

using Value = std::optional<Counter>;

// Operations and bytes of one direction between two readings.
IoRates io_rates(const Value& operations_before,
                 const Value& operations,
                 const Value& bytes_before,
                 const Value& bytes,
                 double span) {
  return {.operations_per_second = rate(operations_before, operations, span),
          .bytes_per_second = rate(bytes_before, bytes, span)};
}

void add(std::optional<double>& sum, const std::optional<double>& part) {
  if (part) {
    sum = sum.value_or(0) + *part;
  }
}

void add(IoRates& sum, const IoRates& part) {
  add(sum.operations_per_second, part.operations_per_second);
  add(sum.bytes_per_second, part.bytes_per_second);
}

// Share of the span; the kernel's total can run a little ahead of our clock, hence the clamp.
std::optional<double> share(const Value& before, const Value& after, double span) {
  const auto stalled_us_per_second = rate(before, after, span);
  if (!stalled_us_per_second) {
    return std::nullopt;
  }
  return std::clamp(*stalled_us_per_second / 1e6, 0.0, 1.0);
}

using Line = std::optional<PressureLine> Pressure::*;

std::optional<double> pressure_share(const std::optional<Pressure>& before,
                                     const std::optional<Pressure>& after,
                                     Line line,
                                     double span) {
  if (!before || !after || !((*before).*line) || !((*after).*line)) {
    return std::nullopt;
  }
  return share(((*before).*line)->total_microseconds, ((*after).*line)->total_microseconds, span);
}

// Counts of one span's requests per bucket; none if any bucket went back (a reset).
std::optional<LatencyHistogram> histogram_delta(const LatencyHistogram& before,
                                                const LatencyHistogram& after) {
  LatencyHistogram grown{};
  for (std::size_t i = 0; i < kLatencyBuckets; ++i) {
    if (after[i] < before[i]) {
      return std::nullopt;
    }
    grown[i] = after[i] - before[i];
  }
  return grown;
}

std::optional<Nanoseconds> quantile(const LatencyHistogram& counts, double share_below) {
  std::uint64_t total = 0;
  for (const std::uint64_t count : counts) {
    total += count;
  }
  if (total == 0) {
    return std::nullopt;
  }
  const auto rank = static_cast<std::uint64_t>(std::ceil(static_cast<double>(total) * share_below));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kLatencyBuckets; ++i) {
    seen += counts[i];
    if (seen >= rank) {
      return std::chrono::microseconds(std::int64_t{1} << (i + 1));
    }
  }
  return std::nullopt;
}

IoLatency latency(const IoOperationReading& before, const IoOperationReading& after) {
  const auto grown = histogram_delta(before.queue_time, after.queue_time);
  if (!grown) {
    return {};
  }
  return {.p50 = quantile(*grown, 0.50), .p99 = quantile(*grown, 0.99)};
}

const IoOperationReading& of(const BlockIoReading& reading, IoOperation operation) {
  return reading.by_operation.at(static_cast<std::size_t>(operation));
}

VmDeviceFacts vm_device_facts(const BlockIoReading* before,
                              const BlockIoReading& after,
                              double span) {
  VmDeviceFacts facts;
  facts.device = after.device;
  facts.in_flight_count = after.in_flight_count;
  if (before == nullptr || !(span > 0)) {
    return facts;
  }
  const auto rates = [&](IoOperation operation) {
    const auto& old = of(*before, operation);
    const auto& now = of(after, operation);
    return io_rates(old.operations, now.operations, old.bytes, now.bytes, span);
  };
  facts.read = rates(IoOperation::kRead);
  facts.write = rates(IoOperation::kWrite);
  if (!before->counts_only && !after.counts_only) {
    facts.read_latency = latency(of(*before, IoOperation::kRead), of(after, IoOperation::kRead));
    facts.write_latency = latency(of(*before, IoOperation::kWrite), of(after, IoOperation::kWrite));
  }
  return facts;
}

HostFacts host_facts(const Snapshot& before, const Snapshot& after, double span) {
  HostFacts facts;
  const HostReading& old = before.host;
  const HostReading& now = after.host;
  if (old.vmstat && now.vmstat) {
    const auto bytes = [&](Value Vmstat::* counter) -> std::optional<double> {
      const auto pages = rate((*old.vmstat).*counter, (*now.vmstat).*counter, span);
      return pages ? std::optional(*pages * kPageBytes) : std::nullopt;
    };
    facts.swap_in_bytes_per_second = bytes(&Vmstat::swap_in_pages);
    facts.swap_out_bytes_per_second = bytes(&Vmstat::swap_out_pages);
    facts.major_faults_per_second = rate(old.vmstat->major_faults, now.vmstat->major_faults, span);
  }
  const auto pressure = [&](std::optional<Pressure> HostReading::* which, Line line) {
    return pressure_share(old.*which, now.*which, line, span);
  };
  facts.cpu_some_ratio = pressure(&HostReading::cpu_pressure, &Pressure::some);
  facts.memory_some_ratio = pressure(&HostReading::memory_pressure, &Pressure::some);
  facts.memory_full_ratio = pressure(&HostReading::memory_pressure, &Pressure::full);
  facts.io_some_ratio = pressure(&HostReading::io_pressure, &Pressure::some);
  facts.io_full_ratio = pressure(&HostReading::io_pressure, &Pressure::full);
  const auto own = rate(before.self.cpu_microseconds, after.self.cpu_microseconds, span);
  facts.own_cpu_cores = own ? std::optional(*own / 1e6) : std::nullopt;
  return facts;
}

std::vector<DeviceFacts> device_facts(const Snapshot* before, const Snapshot& after, double span) {
  std::map<DeviceId, const DeviceReading*> old;
  if (before != nullptr) {
    for (const DeviceReading& device : before->devices) {
      old.emplace(device.id, &device);
    }
  }
  std::vector<DeviceFacts> all;
  all.reserve(after.devices.size());
  for (const DeviceReading& now : after.devices) {
    DeviceFacts facts;
    facts.id = now.id;
    facts.name = now.name;
    if (const auto at = old.find(now.id); at != old.end() && at->second->name == now.name) {
      const DeviceReading& was = *at->second;
      facts.read =
          io_rates(was.read_operations, now.read_operations, was.read_bytes, now.read_bytes, span);
      facts.write = io_rates(
          was.write_operations, now.write_operations, was.write_bytes, now.write_bytes, span);
      facts.busy_ratio = share(was.busy_microseconds, now.busy_microseconds, span);
    }
    all.push_back(std::move(facts));
  }
  return all;
}

void fill_cgroup_facts(VmFacts& facts,
                       const std::optional<VmCgroupReading>& before,
                       const std::optional<VmCgroupReading>& after,
                       double span) {
  if (!before || !after) {
    return;
  }
  const auto cpu = rate(before->cpu_microseconds, after->cpu_microseconds, span);
  facts.cpu_cores = cpu ? std::optional(*cpu / 1e6) : std::nullopt;
  const auto full =
      [&](std::optional<PressureTotals> VmCgroupReading::* which) -> std::optional<double> {
    const auto& old = (*before).*which;
    const auto& now = (*after).*which;
    if (!old || !now) {
      return std::nullopt;
    }
    return share(old->full_microseconds, now->full_microseconds, span);
  };
  facts.memory_full_pressure_ratio = full(&VmCgroupReading::memory_pressure);
  facts.io_full_pressure_ratio = full(&VmCgroupReading::io_pressure);
}

// The totals leave out a device that is stacked on another one in the VM's own list: the same
// bytes pass both.
void fill_totals(VmFacts& facts, const DeviceStack& stack) {
  std::vector<DeviceId> listed;
  listed.reserve(facts.devices.size());
  for (const VmDeviceFacts& device : facts.devices) {
    listed.push_back(device.device);
  }
  for (const VmDeviceFacts& device : facts.devices) {
    if (!stack.is_above_any(device.device, listed)) {
      add(facts.read, device.read);
      add(facts.write, device.write);
    }
  }
}

using VmDeviceKey = std::pair<VmId, DeviceId>;

std::vector<VmFacts> vm_facts(const Snapshot* before, const Snapshot& after, double span) {
  std::vector<VmFacts> all;
  all.reserve(after.vms.size());
  std::map<VmId, std::size_t> place;
  for (const VmReading& vm : after.vms) {
    place.emplace(vm.id, all.size());
    all.emplace_back().id = vm.id;
  }

  std::map<VmDeviceKey, const BlockIoReading*> old_io;
  std::map<VmId, const VmReading*> old_vms;
  if (before != nullptr) {
    for (const BlockIoReading& io : before->block_io) {
      if (io.vm) {
        old_io.emplace(VmDeviceKey(*io.vm, io.device), &io);
      }
    }
    for (const VmReading& vm : before->vms) {
      old_vms.emplace(vm.id, &vm);
    }
  }

  for (const BlockIoReading& io : after.block_io) {
    const auto at = io.vm ? place.find(*io.vm) : place.end();
    if (at == place.end()) {
      continue;
    }
    const auto old = old_io.find(VmDeviceKey(*io.vm, io.device));
    all[at->second].devices.push_back(
        vm_device_facts(old == old_io.end() ? nullptr : old->second, io, span));
  }

  const DeviceStack stack(after.devices);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (const auto old = old_vms.find(all[i].id); old != old_vms.end()) {
      fill_cgroup_facts(all[i], old->second->cgroup, after.vms[i].cgroup, span);
    }
    fill_totals(all[i], stack);
  }
  return all;
}

// The kernel's HZ is one of four (kernel/Kconfig.hz); the nearest within 8 %, else none.
std::optional<std::uint32_t> jiffies_per_second(const Snapshot* before, const Snapshot& after) {
  if (before == nullptr || !before->tasks || !after.tasks || !before->tasks->jiffies ||
      !after.tasks->jiffies || *after.tasks->jiffies < *before->tasks->jiffies) {
    return std::nullopt;
  }
  const double span = to_seconds(after.tasks->pass_time - before->tasks->pass_time);
  // Under 100 ms one jiffy of 10 ms is too coarse a ruler.
  if (span < 0.1) {
    return std::nullopt;
  }
  const double measured =
      static_cast<double>(*after.tasks->jiffies - *before->tasks->jiffies) / span;
  constexpr std::array<std::uint32_t, 4> choices = {100, 250, 300, 1000};
  std::optional<std::uint32_t> best;
  double best_error = 0.08;  // 250 and 300 stay apart
  for (const std::uint32_t choice : choices) {
    const double error = std::abs(measured / choice - 1);
    if (error < best_error) {
      best_error = error;
      best = choice;
    }
  }
  return best;
}

void join_blocked_tasks(Facts& facts, const Snapshot& snapshot) {
  if (!snapshot.tasks) {
    return;
  }
  const VmJoin join(snapshot);
  std::map<VmId, std::uint32_t> count;
  facts.vm_of_blocked.reserve(snapshot.tasks->blocked.size());
  for (const BlockedTask& task : snapshot.tasks->blocked) {
    const auto vm = join.vm_of(task);
    facts.vm_of_blocked.push_back(vm);
    const bool counts =
        task.blocked_class == BlockedClass::kHard || task.blocked_class == BlockedClass::kUnknown;
    if (vm && counts) {
      ++count[*vm];
    }
  }
  for (VmFacts& vm : facts.vms) {
    if (const auto at = count.find(vm.id); at != count.end()) {
      vm.blocked_task_count = at->second;
    }
  }
}

}  // namespace

Facts derive(const Snapshot* previous, const Snapshot& current) {
  if (previous != nullptr &&
      (previous->boot_id != current.boot_id || previous->boot_time >= current.boot_time)) {
    previous = nullptr;
  }
  Facts facts;
  double span = 0;
  if (previous != nullptr) {
    facts.span = current.boot_time - previous->boot_time;
    span = to_seconds(*facts.span);
    facts.host = host_facts(*previous, current, span);
  }
  facts.vms = vm_facts(previous, current, span);
  facts.devices = device_facts(previous, current, span);
  facts.jiffies_per_second = jiffies_per_second(previous, current);
  join_blocked_tasks(facts, current);
  return facts;
}

}  // namespace hvguard
