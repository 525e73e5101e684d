#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "ctl/format.h"
#include "ctl/views.h"

namespace hvguard::ctl {
namespace {

using Rates = v1::IoRates;

std::optional<double> bytes_per_second(const v1::IoRates& rates) {
  return optional_of(rates, &Rates::has_bytes_per_second, &Rates::bytes_per_second);
}

std::optional<double> operations_per_second(const v1::IoRates& rates) {
  return optional_of(rates, &Rates::has_operations_per_second, &Rates::operations_per_second);
}

std::optional<Nanoseconds> worst_latency(const v1::Vm& vm) {
  std::optional<Nanoseconds> worst;
  for (const v1::VmDeviceIo& io : vm.device_ios()) {
    if (const auto p99 = worst_p99(io)) {
      worst = std::max(worst.value_or(Nanoseconds(0)), *p99);
    }
  }
  return worst;
}

// Larger comes first; what is not known comes last.
double weight(const v1::Vm& vm, VmOrder order) {
  std::optional<double> value;
  switch (order) {
    case VmOrder::kIo:
      value = sum(bytes_per_second(vm.read_rates()), bytes_per_second(vm.write_rates()));
      break;
    case VmOrder::kCpu:
      value = optional_of(vm, &v1::Vm::has_cpu_cores, &v1::Vm::cpu_cores);
      break;
    case VmOrder::kMemory:
      if (vm.has_memory_bytes()) {
        value = static_cast<double>(vm.memory_bytes());
      }
      break;
    case VmOrder::kLatency:
      if (const auto worst = worst_latency(vm)) {
        value = to_seconds(*worst);
      }
      break;
    case VmOrder::kName:
      break;
  }
  return value.value_or(-1);
}

Cell count_cell(std::uint64_t count, Tone tone) {
  return {fmt::format("{}", count), count > 0 ? tone : Tone::kDim};
}

std::vector<Cell> row(const v1::Vm& vm) {
  return {
      {printable(vm.name())},
      {bytes_text(optional_of(vm, &v1::Vm::has_guest_memory_bytes, &v1::Vm::guest_memory_bytes))},
      {count_text(optional_of(vm, &v1::Vm::has_cpu_cores, &v1::Vm::cpu_cores))},
      {rate_text(bytes_per_second(vm.read_rates()))},
      {rate_text(bytes_per_second(vm.write_rates()))},
      {count_text(
          sum(operations_per_second(vm.read_rates()), operations_per_second(vm.write_rates())))},
      {latency_text(worst_latency(vm))},
      count_cell(vm.blocked_task_count(), Tone::kBad),
      count_cell(static_cast<std::uint64_t>(vm.open_incident_ids_size()), Tone::kWarning),
  };
}

}  // namespace

std::string vms_view(const v1::ListVmsResponse& answer, VmOrder order, const Style& style) {
  if (answer.vms().empty()) {
    return "no VMs\n";
  }
  std::vector<const v1::Vm*> vms;
  for (const v1::Vm& vm : answer.vms()) {
    vms.push_back(&vm);
  }
  if (order != VmOrder::kName) {
    std::ranges::stable_sort(
        vms, std::greater<>(), [order](const v1::Vm* vm) { return weight(*vm, order); });
  }
  Table table({{"VM", false, true},
               {"MEMORY", true},
               {"CPU", true},
               {"READ", true},
               {"WRITE", true},
               {"IO/S", true},
               {"P99", true},
               {"BLOCKED", true},
               {"INCIDENTS", true}});
  for (const v1::Vm* vm : vms) {
    table.add(row(*vm));
  }
  return table.render(style);
}

}  // namespace hvguard::ctl
