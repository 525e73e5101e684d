#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "ctl/format.h"
#include "ctl/views.h"

namespace hvguard::ctl {
namespace {

using Rates = v1::IoRates;

std::string or_unknown(const std::string& text) {
  return text.empty() ? std::string(kUnknown) : printable(text);
}

std::string io_text(const v1::IoRates& rates) {
  return fmt::format(
      "{} in {} operations/s",
      rate_text(optional_of(rates, &Rates::has_bytes_per_second, &Rates::bytes_per_second)),
      count_text(
          optional_of(rates, &Rates::has_operations_per_second, &Rates::operations_per_second)));
}

std::string pressure_line(const v1::Vm& vm) {
  const auto text = [](bool known, const v1::PressureRatios& pressure) {
    using Ratios = v1::PressureRatios;
    return known ? percent_text(optional_of(pressure, &Ratios::has_some_ratio, &Ratios::some_ratio))
                 : std::string(kUnknown);
  };
  return fmt::format("cpu {}, memory {}, io {}",
                     text(vm.has_cpu_pressure(), vm.cpu_pressure()),
                     text(vm.has_memory_pressure(), vm.memory_pressure()),
                     text(vm.has_io_pressure(), vm.io_pressure()));
}

std::string memory_line(const v1::Vm& vm) {
  using Vm = v1::Vm;
  std::string text =
      fmt::format("guest {}, host {}, swap {}",
                  bytes_text(optional_of(vm, &Vm::has_guest_memory_bytes, &Vm::guest_memory_bytes)),
                  bytes_text(optional_of(vm, &Vm::has_memory_bytes, &Vm::memory_bytes)),
                  bytes_text(optional_of(vm, &Vm::has_swap_bytes, &Vm::swap_bytes)));
  if (vm.has_memory_high_bytes()) {
    text += fmt::format(", memory.high {}", bytes_text(vm.memory_high_bytes()));
  }
  if (vm.has_memory_max_bytes()) {
    text += fmt::format(", memory.max {}", bytes_text(vm.memory_max_bytes()));
  }
  return text;
}

std::string tasks_line(const v1::Vm& vm) {
  std::string text =
      vm.has_task_count() ? fmt::format("{}", vm.task_count()) : std::string(kUnknown);
  if (vm.has_task_max_count()) {
    text += fmt::format(" of at most {}", vm.task_max_count());
  }
  return text + fmt::format(", {} blocked now", vm.blocked_task_count());
}

std::string identity_part(const v1::Vm& vm, const Style& style) {
  const std::string source = enum_text(v1::Vm::NameSource_Name(vm.name_source()), "NAME_SOURCE_");
  std::string out = labelled(
      "VM",
      painted(printable(vm.name()), Tone::kStrong, style) + fmt::format(" (named by {})", source),
      style);
  out += labelled("id", or_unknown(vm.vm_id()), style);
  out += labelled("UUID", or_unknown(vm.uuid()), style);
  std::string process =
      fmt::format("{} {}, {}",
                  or_unknown(vm.executable()),
                  vm.pid(),
                  enum_text(v1::Vm::Accelerator_Name(vm.accelerator()), "ACCELERATOR_"));
  if (vm.has_start_time()) {
    process += fmt::format(
        ", since {} ({})", time_text(vm.start_time()), age_text(vm.start_time(), style.now));
  }
  out += labelled("process", process, style);
  out += labelled("unit", or_unknown(vm.unit()), style);
  out += labelled("cgroup", or_unknown(vm.cgroup_path()), style);
  if (!vm.probe_error().empty()) {
    out += labelled("", painted(printable(vm.probe_error()), Tone::kWarning, style), style);
  }
  return out;
}

std::vector<std::uint64_t> buckets_of(const v1::VmDeviceIo& io) {
  std::vector<std::uint64_t> sums;
  for (const auto* totals : {&io.read_totals(), &io.write_totals()}) {
    const auto& buckets = totals->queue_time_buckets();
    sums.resize(std::max(sums.size(), static_cast<std::size_t>(buckets.size())));
    for (int i = 0; i < buckets.size(); ++i) {
      sums[static_cast<std::size_t>(i)] += buckets[i];
    }
  }
  return sums;
}

// Bars of the time that reads and writes took since the VM was found.
std::string histogram(const v1::VmDeviceIo& io, const Style& style) {
  constexpr std::size_t kBarWidth = 30;
  constexpr std::size_t kMostBuckets = 40;
  const auto buckets = buckets_of(io);
  const auto most = buckets.empty() ? 0 : *std::ranges::max_element(buckets);
  if (most == 0) {
    return {};
  }
  std::string out = "    time with queueing, all reads and writes\n";
  bool begun = false;
  for (std::size_t i = 0; i < std::min(buckets.size(), kMostBuckets); ++i) {
    begun = begun || buckets[i] > 0;
    if (!begun) {
      continue;
    }
    const Nanoseconds upper = std::chrono::microseconds(std::int64_t{2} << i);
    const auto length = static_cast<std::size_t>(static_cast<double>(buckets[i]) * kBarWidth /
                                                 static_cast<double>(most));
    const std::string bar(buckets[i] > 0 ? std::max<std::size_t>(length, 1) : 0, '#');
    std::string line = fmt::format("    < {:>10}  {:>10}  {}",
                                   latency_text(upper),
                                   buckets[i],
                                   painted(bar, Tone::kGood, style));
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string latency_line(const v1::IoLatency& latency) {
  const auto text = [](bool known, const google::protobuf::Duration& duration) {
    return latency_text(known ? std::optional(nanoseconds(duration)) : std::nullopt);
  };
  return fmt::format("{} / {}",
                     text(latency.has_p50_duration(), latency.p50_duration()),
                     text(latency.has_p99_duration(), latency.p99_duration()));
}

std::string device_part(const v1::VmDeviceIo& io, const Style& style) {
  std::string out = "\n" + painted(device_text(io.device()), Tone::kStrong, style) + "\n";
  const auto line = [&](std::string_view name,
                        const v1::IoRates& rates,
                        const v1::IoLatency& latency,
                        const v1::IoOperationTotals& totals) {
    out += fmt::format(
        "  {:<6} {}, half / 99 % within {}\n", name, io_text(rates), latency_line(latency));
    out += fmt::format(
        "         {} in {} operations so far{}\n",
        bytes_text(totals.bytes()),
        totals.operation_count(),
        totals.error_count() > 0
            ? painted(fmt::format(", {} errors", totals.error_count()), Tone::kBad, style)
            : "");
  };
  line("read", io.read_rates(), io.read_latency(), io.read_totals());
  line("write", io.write_rates(), io.write_latency(), io.write_totals());
  using Io = v1::VmDeviceIo;
  const auto in_flight = optional_of(io, &Io::has_in_flight_count, &Io::in_flight_count);
  out += fmt::format("  {} in flight, last completion {}\n",
                     in_flight ? fmt::format("{}", *in_flight) : kUnknown,
                     io.has_last_completion_time()
                         ? age_text(io.last_completion_time(), style.now) + " ago"
                         : std::string(kUnknown));
  if (io.counts_only()) {
    out += "  counted without eBPF: latency, errors and requests in flight are not known\n";
  }
  return out + histogram(io, style);
}

}  // namespace

std::string vm_view(const v1::Vm& vm,
                    const v1::ListIncidentsResponse& incidents,
                    const Style& style) {
  std::string out = identity_part(vm, style) + "\n";
  const auto vcpus = optional_of(vm, &v1::Vm::has_vcpu_count, &v1::Vm::vcpu_count);
  out +=
      labelled("cpu",
               fmt::format("{} cores in use, {} vCPUs",
                           count_text(optional_of(vm, &v1::Vm::has_cpu_cores, &v1::Vm::cpu_cores)),
                           vcpus ? fmt::format("{}", *vcpus) : kUnknown),
               style);
  out += labelled("memory", memory_line(vm), style);
  out += labelled("tasks", tasks_line(vm), style);
  out += labelled("pressure", pressure_line(vm), style);
  out += labelled("read", io_text(vm.read_rates()), style);
  out += labelled("write", io_text(vm.write_rates()), style);
  if (vm.io_attribution() == v1::Vm::IO_ATTRIBUTION_SUBMITTER) {
    out += labelled("", "by submitting process: writeback is not counted as its own", style);
  }
  for (const v1::VmDeviceIo& io : vm.device_ios()) {
    out += device_part(io, style);
  }
  if (!incidents.incidents().empty()) {
    out += "\n" + incidents_view(incidents, style);
  }
  return out;
}

}  // namespace hvguard::ctl
