#include "observe/vm_entry.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/parse.h"
#include "base/text.h"
#include "observe/cgroupfs.h"
#include "observe/command_line.h"
#include "observe/process_scan.h"

namespace hvguard::observe {
namespace {

constexpr Nanoseconds kFirstBackOff = std::chrono::seconds(10);
constexpr Nanoseconds kLongestBackOff = std::chrono::seconds(300);
constexpr Nanoseconds kStartGranularity = std::chrono::milliseconds(10);
constexpr std::size_t kMaxPathBytes = 1024;
constexpr std::size_t kMaxUnitBytes = 256;

// Unit names and cgroup paths are used as such (over D-Bus, in cgroupfs), and libvirt's are full of
// backslashes, so plain ASCII stays as it is. Anything else is no name that systemd makes.
std::string name_or_safe_text(std::string_view raw, std::size_t max_bytes) {
  const bool plain = raw.size() <= max_bytes && std::all_of(raw.begin(), raw.end(), [](char c) {
                       return c >= ' ' && c <= '~';
                     });
  return plain ? std::string(raw) : safe_text(raw, max_bytes);
}

void apply_command_line(VmEntry& entry, const ProbeResult& result) {
  auto& identity = entry.reading.identity;
  auto facts = parse_command_line(*result.executable, *result.command_line);
  entry.command_line_name = std::move(facts.name);
  identity.uuid = std::move(facts.uuid);
  identity.guest_memory_bytes = facts.guest_memory_bytes;
  identity.vcpu_count = facts.vcpu_count;
  if (identity.accelerator == Accelerator::kUnknown) {
    identity.accelerator = facts.accelerator;
  }
}

}  // namespace

Nanoseconds probe_back_off(std::uint32_t failed_probes) {
  const auto doublings = std::min<std::uint32_t>(std::max(failed_probes, 1U) - 1, 5);
  return std::min(kFirstBackOff * (1U << doublings), kLongestBackOff);
}

bool is_vm_manager(const VmEntry& entry, const ProbeResult& result, const VmFinderConfig& config) {
  if (result.executable && result.command_line &&
      parse_command_line(*result.executable, *result.command_line).without_guest) {
    return false;
  }
  if (entry.holds_kvm_vm || result.holds_kvm_vm.value_or(false)) {
    return true;
  }
  return result.executable ? matches_any(config.executables, *result.executable)
                           : matches_any_comm(config.executables, entry.comm);
}

void apply_probe(VmEntry& entry, const ProbeResult& result) {
  auto& identity = entry.reading.identity;
  entry.holds_kvm_vm |= result.holds_kvm_vm.value_or(false);
  if (entry.holds_kvm_vm) {
    identity.accelerator = Accelerator::kKvm;
  }
  if (result.executable) {
    identity.executable = safe_text(*result.executable, kMaxNameBytes);
    identity.manager = manager_of(*result.executable);
  }
  if (result.executable && result.command_line) {
    apply_command_line(entry, result);
  }
  if (result.cgroup_path && !result.cgroup_path->empty()) {
    const auto unit = unit_of(*result.cgroup_path);
    identity.unit = name_or_safe_text(unit.unit, kMaxUnitBytes);
    identity.cgroup_path = name_or_safe_text(unit.path, kMaxPathBytes);
  }
  if (result.start && !entry.start) {
    entry.start = result.start;
  }
  identity.probed = result.error.empty();
  identity.probe_error = result.error;
  choose_name(entry);
}

void apply_bus(VmEntry& entry, const ProbeResult& result) {
  if (!result.kill_mode.empty()) {
    entry.reading.identity.kill_mode = safe_text(result.kill_mode, 64);
  }
  entry.machine_name = safe_text(result.machine_name, kMaxNameBytes);
  choose_name(entry);
}

void choose_name(VmEntry& entry) {
  auto& identity = entry.reading.identity;
  const Pid tgid = entry.reading.id.tgid;
  if (!entry.machine_name.empty()) {
    identity.name = entry.machine_name;
    identity.name_source = VmNameSource::kMachined;
  } else if (!entry.command_line_name.empty()) {
    identity.name = entry.command_line_name;
    identity.name_source = VmNameSource::kCommandLine;
  } else if (!identity.unit.empty()) {
    const std::string pid = fmt::format(":{}", tgid);
    identity.name = identity.unit.size() + pid.size() <= kMaxNameBytes
                        ? identity.unit + pid
                        : fmt::format("pid-{}", tgid);
    identity.name_source = VmNameSource::kUnit;
  } else {
    identity.name = fmt::format("pid-{}", tgid);
    identity.name_source = VmNameSource::kPid;
  }
}

void fix_identity(VmEntry& entry) {
  const BootTime start = entry.start.value_or(entry.reading.found_time);
  entry.reading.id.start = BootTime{start.since_boot - start.since_boot % kStartGranularity};
  entry.reading.id.cgroup =
      entry.cgroup ? entry.cgroup->id() : entry.leaf_cgroup.value_or(CgroupId{});
}

Neighbours neighbours_of(const VmReading& reading) {
  // The root cgroup holds the kernel's own work and all that nobody put elsewhere.
  if (reading.identity.cgroup_path == "/") {
    return Neighbours::kSome;
  }
  const auto& topology = reading.topology;
  if (!topology.foreign_process_count || !topology.other_vm_count) {
    return Neighbours::kUnknown;
  }
  const bool alone = *topology.foreign_process_count == 0 && *topology.other_vm_count == 0;
  return alone ? Neighbours::kNone : Neighbours::kSome;
}

IoAttribution attribution_of(const VmReading& reading) {
  const auto& topology = reading.topology;
  if (!topology.foreign_process_count || !topology.other_vm_count) {
    return IoAttribution::kUnknown;
  }
  const auto& missing = topology.missing_controllers;
  const bool has_io = std::find(missing.begin(), missing.end(), "io") == missing.end();
  const bool alone = neighbours_of(reading) == Neighbours::kNone;
  return alone && has_io ? IoAttribution::kCgroup : IoAttribution::kSubmitter;
}

bool is_vm_helper(std::string_view comm) {
  static constexpr std::array<std::string_view, 9> helpers = {"swtpm",
                                                              "virtiofsd",
                                                              "passt*",
                                                              "slirp4netns",
                                                              "vhost-*",
                                                              "qemu-pr-helper",
                                                              "qemu-bridge-hel*",
                                                              "dbus-daemon",
                                                              "jailer"};
  return std::any_of(helpers.begin(), helpers.end(), [&](std::string_view helper) {
    return glob_match(helper, comm);
  });
}

}  // namespace hvguard::observe
