#include "detect/io_stall.h"

#include <map>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "detect/device_stack.h"

namespace hvguard {
namespace {

void remember_vm_devices(IoStallState& state, const Snapshot& snapshot, const DeviceStack& stack) {
  for (const BlockIoReading& reading : snapshot.block_io) {
    if (!reading.vm) {
      continue;
    }
    state.vm_devices.insert(reading.device);
    for (const DeviceId below : stack.all_beneath(reading.device)) {
      state.vm_devices.insert(below);
    }
  }
  // Gone devices; and all of them once there is no VM any more.
  std::erase_if(state.vm_devices, [&](DeviceId id) {
    return snapshot.vms.empty() || (stack.find(id) == nullptr && !snapshot.devices.empty());
  });
}

std::string subject_key(const StalledIo& io) {
  const std::string device = "dev:" + to_string(io.device);
  return io.vm ? fmt::format("vm:{}/{}", to_string(*io.vm), device) : device;
}

using VmNames = std::map<VmId, std::string>;

Finding make_finding(const StalledIo& io, const VmNames& names, const DeviceStack& stack) {
  IoStallEvidence evidence;
  evidence.in_flight_count = io.in_flight_count;
  evidence.stalled_since = io.since;
  evidence.device_name = stack.name_of(io.device);
  const DeviceReading* const device = stack.find(io.device);
  evidence.device_suspended = device != nullptr ? device->suspended : std::nullopt;

  std::string owner = "IO outside of VMs";
  if (io.whole_device) {
    owner = "all IO";
  }
  if (io.vm) {
    const auto name = names.find(*io.vm);
    owner = "VM " + (name == names.end() ? to_string(*io.vm) : name->second);
  }
  Finding finding;
  finding.kind = IncidentKind::kIoStall;
  finding.subject = {.key = subject_key(io),
                     .label = fmt::format("{} on {}", owner, evidence.device_name),
                     .vm = io.vm,
                     .device = io.device};
  finding.severity = Severity::kCritical;
  finding.event_time = io.since;
  finding.summary = fmt::format("{}: requests are in flight on {} and none completes{}.",
                                owner,
                                evidence.device_name,
                                evidence.device_suspended.value_or(false)
                                    ? "; the device is suspended (dmsetup resume)"
                                    : "");
  finding.evidence = std::move(evidence);
  return finding;
}

}  // namespace

std::vector<Finding> detect_io_stalls(const IoStallConfig& config,
                                      IoStallState& state,
                                      const Snapshot& snapshot,
                                      const std::vector<StalledIo>& stalled) {
  const DeviceStack stack(snapshot.devices);
  remember_vm_devices(state, snapshot, stack);
  std::map<std::optional<VmId>, std::vector<DeviceId>> stuck_of;
  std::vector<const StalledIo*> old_enough;
  for (const StalledIo& io : stalled) {
    const bool concerns_vms = io.vm || state.vm_devices.contains(io.device);
    if (concerns_vms && snapshot.boot_time - io.since >= config.open_after) {
      old_enough.push_back(&io);
      stuck_of[io.vm].push_back(io.device);
    }
  }
  std::vector<Finding> findings;
  VmNames names;
  if (!old_enough.empty()) {
    for (const VmReading& vm : snapshot.vms) {
      names.emplace(vm.id, vm.identity.name);
    }
  }
  for (const StalledIo* io : old_enough) {
    if (!stack.is_above_any(io->device, stuck_of[io->vm])) {
      findings.push_back(make_finding(*io, names, stack));
    }
  }
  return findings;
}

}  // namespace hvguard
