// derive() on counters that jump as they like: resets, missing readings, clocks that stand still.
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include <gtest/gtest.h>
// rapidcheck's gtest.h needs gtest's before it.
#include <rapidcheck/gtest.h>

#include "detect/derive.h"

namespace hvguard::test {
namespace {

constexpr double kMaxRate = static_cast<double>(std::numeric_limits<std::uint64_t>::max());

std::uint64_t number() {
  return *rc::gen::oneOf(rc::gen::arbitrary<std::uint64_t>(),
                         rc::gen::inRange<std::uint64_t>(0, 100'000));
}

std::optional<Counter> counter() {
  if (*rc::gen::weightedElement<bool>({{1, true}, {5, false}})) {
    return std::nullopt;
  }
  return Counter{number()};
}

std::optional<Pressure> pressure() {
  const auto total = counter();
  if (!total) {
    return std::nullopt;
  }
  Pressure pressure;
  pressure.some = PressureLine{.total_microseconds = *total};
  if (const auto full = counter()) {
    pressure.full = PressureLine{.total_microseconds = *full};
  }
  return pressure;
}

Snapshot arbitrary_snapshot() {
  Snapshot snapshot;
  snapshot.boot_id = "boot";
  snapshot.boot_time = {std::chrono::milliseconds(*rc::gen::inRange<std::int64_t>(0, 100'000))};
  snapshot.host.io_pressure = pressure();
  snapshot.host.memory_pressure = pressure();
  snapshot.host.cpu_pressure = pressure();
  if (const auto swapped = counter()) {
    Vmstat vmstat;
    vmstat.swap_in_pages = swapped;
    vmstat.swap_out_pages = counter();
    vmstat.major_faults = counter();
    snapshot.host.vmstat = vmstat;
  }
  snapshot.self.cpu_microseconds = counter();
  for (std::uint32_t i = 0; i < *rc::gen::inRange<std::uint32_t>(0, 4); ++i) {
    DeviceReading device;
    device.id = {8, i};
    device.name = "sd" + std::to_string(i);
    // Also what no kernel makes: devices stacked on each other in a ring.
    device.beneath = {{8, *rc::gen::inRange<std::uint32_t>(0, 4)}};
    device.read_bytes = counter();
    device.read_operations = counter();
    device.write_bytes = counter();
    device.write_operations = counter();
    device.busy_microseconds = counter();
    snapshot.devices.push_back(device);
  }
  for (int i = 0; i < *rc::gen::inRange(0, 3); ++i) {
    VmReading vm;
    vm.id.tgid = 100 + i;
    VmCgroupReading cgroup;
    cgroup.cpu_microseconds = counter();
    cgroup.io_pressure =
        PressureTotals{.some_microseconds = Counter{number()}, .full_microseconds = counter()};
    vm.cgroup = cgroup;
    for (std::uint32_t device = 0; device < 3; ++device) {
      BlockIoReading io;
      io.vm = vm.id;
      io.device = {8, device};
      for (auto& operation : io.by_operation) {
        operation.operations = Counter{number()};
        operation.bytes = Counter{number()};
        operation.queue_time[*rc::gen::inRange<std::size_t>(0, kLatencyBuckets)] =
            *rc::gen::inRange<std::uint64_t>(0, 1000);
      }
      snapshot.block_io.push_back(io);
    }
    snapshot.vms.push_back(vm);
  }
  if (*rc::gen::arbitrary<bool>()) {
    TaskPass pass;
    pass.pass_time = snapshot.boot_time;
    pass.jiffies = number();
    snapshot.tasks = pass;
  }
  return snapshot;
}

void check_ratio(const std::optional<double>& ratio) {
  RC_ASSERT(((!ratio || (*ratio >= 0 && *ratio <= 1))));
}

void check_rate(const std::optional<double>& rate) {
  RC_ASSERT(((!rate || (std::isfinite(*rate) && *rate >= 0 && *rate <= kMaxRate * 1e4))));
}

void check_rates(const IoRates& rates) {
  check_rate(rates.bytes_per_second);
  check_rate(rates.operations_per_second);
}

RC_GTEST_PROP(Derive, IsNeverNegativeOrAbsurd, ()) {
  const Snapshot before = arbitrary_snapshot();
  const Snapshot after = arbitrary_snapshot();
  const Facts facts = derive(&before, after);
  RC_ASSERT(facts.span.has_value() == (before.boot_time < after.boot_time));
  check_ratio(facts.host.cpu_some_ratio);
  check_ratio(facts.host.memory_some_ratio);
  check_ratio(facts.host.memory_full_ratio);
  check_ratio(facts.host.io_some_ratio);
  check_ratio(facts.host.io_full_ratio);
  check_rate(facts.host.swap_in_bytes_per_second);
  check_rate(facts.host.own_cpu_cores);
  RC_ASSERT(facts.vms.size() == after.vms.size());
  for (const VmFacts& vm : facts.vms) {
    check_ratio(vm.io_full_pressure_ratio);
    check_rate(vm.cpu_cores);
    check_rates(vm.read);
    check_rates(vm.write);
    for (const VmDeviceFacts& device : vm.devices) {
      check_rates(device.read);
      RC_ASSERT((!device.read_latency.p50 || *device.read_latency.p50 > Nanoseconds(0)));
      RC_ASSERT((!device.read_latency.p50 || *device.read_latency.p50 <= *device.read_latency.p99));
    }
  }
  for (const DeviceFacts& device : facts.devices) {
    check_rates(device.read);
    check_ratio(device.busy_ratio);
  }
  const std::uint32_t hz = facts.jiffies_per_second.value_or(250);
  RC_ASSERT((hz == 100 || hz == 250 || hz == 300 || hz == 1000));
}

// A reset gives nothing: not the difference to zero, and not a wrap.
RC_GTEST_PROP(Derive, ResetCountersGiveNothing, ()) {
  Snapshot before;
  before.boot_id = "boot";
  before.boot_time = {std::chrono::seconds(1)};
  DeviceReading device;
  device.id = {8, 0};
  device.name = "sda";
  device.read_bytes = Counter{*rc::gen::inRange<std::uint64_t>(1, 1'000'000)};
  before.devices = {device};
  Snapshot after = before;
  after.boot_time = {std::chrono::seconds(2)};
  after.devices[0].read_bytes =
      Counter{*rc::gen::inRange<std::uint64_t>(0, before.devices[0].read_bytes->value)};
  const Facts facts = derive(&before, after);
  RC_ASSERT(!facts.devices[0].read.bytes_per_second.has_value());
}

}  // namespace
}  // namespace hvguard::test
