#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <utility>
#include <variant>

#include "base/text.h"
#include "model/names.h"
#include "publish/safe_line.h"
#include "publish/to_proto.h"

namespace hvguard::publish {
namespace {

constexpr std::size_t kMaxPathBytes = 512;

v1::PressureRatios full_ratio(std::optional<double> full) {
  v1::PressureRatios out;
  if (full) {
    out.set_full_ratio(*full);
  }
  return out;
}

void fill_identity(v1::Vm& out, const VmIdentity& identity) {
  out.set_name(identity.name);
  out.set_name_source(to_proto(identity.name_source));
  out.set_uuid(safe_text(identity.uuid, 64));
  out.set_manager(to_proto(identity.manager));
  out.set_executable(identity.executable);
  out.set_accelerator(to_proto(identity.accelerator));
  if (identity.guest_memory_bytes) {
    out.set_guest_memory_bytes(*identity.guest_memory_bytes);
  }
  if (identity.vcpu_count) {
    out.set_vcpu_count(*identity.vcpu_count);
  }
  out.set_unit(safe_line(identity.unit, kMaxPathBytes));
  out.set_cgroup_path(safe_text(identity.cgroup_path, kMaxPathBytes));
  out.set_probe_error(safe_line(identity.probe_error, kMaxPathBytes));
}

void fill_cgroup(v1::Vm& out, const VmCgroupReading& cgroup) {
  if (cgroup.memory_bytes) {
    out.set_memory_bytes(*cgroup.memory_bytes);
  }
  if (cgroup.swap_bytes) {
    out.set_swap_bytes(*cgroup.swap_bytes);
  }
  if (cgroup.memory_high_bytes) {
    out.set_memory_high_bytes(*cgroup.memory_high_bytes);
  }
  if (cgroup.memory_max_bytes) {
    out.set_memory_max_bytes(*cgroup.memory_max_bytes);
  }
  if (cgroup.pids_count) {
    out.set_task_count(*cgroup.pids_count);
  }
  if (cgroup.pids_max) {
    out.set_task_max_count(*cgroup.pids_max);
  }
}

v1::IoLatency latency_to_proto(const IoLatency& latency) {
  v1::IoLatency out;
  if (latency.p50) {
    *out.mutable_p50_duration() = to_proto(*latency.p50);
  }
  if (latency.p99) {
    *out.mutable_p99_duration() = to_proto(*latency.p99);
  }
  return out;
}

std::size_t used_buckets(const LatencyHistogram& histogram) {
  std::size_t used = histogram.size();
  while (used > 0 && histogram.at(used - 1) == 0) {
    --used;
  }
  return used;
}

void add_buckets(google::protobuf::RepeatedField<std::uint64_t>& out,
                 const LatencyHistogram& histogram) {
  const std::span used(histogram.data(), used_buckets(histogram));
  out.Add(used.begin(), used.end());
}

void fill_totals(v1::IoOperationTotals& out, const IoOperationReading& reading) {
  out.set_operation_count(reading.operations.value);
  out.set_bytes(reading.bytes.value);
  out.set_error_count(reading.errors.value);
  add_buckets(*out.mutable_queue_time_buckets(), reading.queue_time);
  add_buckets(*out.mutable_device_time_buckets(), reading.device_time);
}

void fill_device_facts(v1::VmDeviceIo& out, const VmDeviceFacts& facts) {
  *out.mutable_read_rates() = to_proto(facts.read);
  *out.mutable_write_rates() = to_proto(facts.write);
  *out.mutable_read_latency() = latency_to_proto(facts.read_latency);
  *out.mutable_write_latency() = latency_to_proto(facts.write_latency);
}

void fill_device_io(v1::VmDeviceIo& out,
                    const BlockIoReading& reading,
                    const VmFacts* facts,
                    const DeviceNames& names,
                    const ClockPair& clocks) {
  *out.mutable_device() = to_proto(reading.device, names);
  if (facts != nullptr) {
    for (const VmDeviceFacts& device : facts->devices) {
      if (device.device == reading.device) {
        fill_device_facts(out, device);
      }
    }
  }
  if (reading.in_flight_count) {
    out.set_in_flight_count(*reading.in_flight_count);
  }
  if (reading.last_completion) {
    *out.mutable_last_completion_time() = to_proto(*reading.last_completion, clocks);
  }
  const auto of = [&](IoOperation operation) -> const IoOperationReading& {
    return reading.by_operation.at(static_cast<std::size_t>(operation));
  };
  fill_totals(*out.mutable_read_totals(), of(IoOperation::kRead));
  fill_totals(*out.mutable_write_totals(), of(IoOperation::kWrite));
  fill_totals(*out.mutable_discard_totals(), of(IoOperation::kDiscard));
  fill_totals(*out.mutable_flush_totals(), of(IoOperation::kFlush));
  out.set_counts_only(reading.counts_only);
}

void fill_facts(v1::Vm& out, const VmFacts& facts) {
  if (facts.cpu_cores) {
    out.set_cpu_cores(*facts.cpu_cores);
  }
  if (facts.memory_full_pressure_ratio) {
    *out.mutable_memory_pressure() = full_ratio(facts.memory_full_pressure_ratio);
  }
  if (facts.io_full_pressure_ratio) {
    *out.mutable_io_pressure() = full_ratio(facts.io_full_pressure_ratio);
  }
  *out.mutable_read_rates() = to_proto(facts.read);
  *out.mutable_write_rates() = to_proto(facts.write);
  out.set_blocked_task_count(facts.blocked_task_count);
}

v1::BlockedTask task_to_proto(const BlockedTask& task,
                              const std::optional<VmId>& vm,
                              const ClockPair& clocks) {
  v1::BlockedTask out;
  out.set_tid(static_cast<std::uint32_t>(task.id.tid));
  out.set_pid(static_cast<std::uint32_t>(task.tgid));
  out.set_comm(safe_text(task.comm, 64));
  out.set_state(to_proto(task.blocked_class));
  if (task.off_cpu_since) {
    *out.mutable_blocked_since_time() = to_proto(*task.off_cpu_since, clocks);
  }
  if (vm) {
    out.set_vm_id(to_string(*vm));
  }
  for (const std::string& function : task.stack) {
    out.add_stack(safe_text(function, 128));
  }
  if (task.lock) {
    out.set_lock_type(std::string(to_string(task.lock->type)));
    if (task.lock->owner_tid) {
      out.set_lock_owner_tid(static_cast<std::uint32_t>(*task.lock->owner_tid));
    }
  }
  out.set_kernel_thread(task.kernel_thread);
  return out;
}

void insert_vms(std::set<VmId>& vms, const std::vector<IoContentionParty>& parties) {
  for (const IoContentionParty& party : parties) {
    if (party.vm) {
      vms.insert(*party.vm);
    }
  }
}

// An incident may be about several VMs, none of which is its subject.
std::multimap<VmId, const Incident*> open_incidents_by_vm(const std::vector<Incident>& incidents) {
  std::multimap<VmId, const Incident*> out;
  for (const Incident& incident : incidents) {
    if (incident.state != IncidentState::kOpen) {
      continue;
    }
    std::set<VmId> vms;
    if (incident.subject.vm) {
      vms.insert(*incident.subject.vm);
    }
    if (const auto* const hung = std::get_if<HungTaskEvidence>(&incident.evidence)) {
      vms.insert(hung->vms.begin(), hung->vms.end());
    }
    if (const auto* const contention = std::get_if<IoContentionEvidence>(&incident.evidence)) {
      insert_vms(vms, contention->victims);
      insert_vms(vms, contention->culprits);
    }
    for (const VmId& vm : vms) {
      out.emplace(vm, &incident);
    }
  }
  return out;
}

}  // namespace

std::vector<v1::Vm> vms_to_proto(const TickResult& result) {
  std::vector<v1::Vm> out;
  if (!result.snapshot) {
    return out;
  }
  const Snapshot& snapshot = *result.snapshot;
  const ClockPair clocks{snapshot.boot_time, snapshot.wall_time};
  const DeviceNames names = device_names(result);
  std::map<VmId, const VmFacts*> facts_of;
  for (const VmFacts& facts : result.facts.vms) {
    facts_of[facts.id] = &facts;
  }
  std::multimap<VmId, const BlockIoReading*> io_of;
  for (const BlockIoReading& io : snapshot.block_io) {
    if (io.vm) {
      io_of.emplace(*io.vm, &io);
    }
  }
  const std::multimap<VmId, const Incident*> incidents_of = open_incidents_by_vm(result.incidents);
  out.reserve(snapshot.vms.size());
  for (const VmReading& vm : snapshot.vms) {
    v1::Vm& to = out.emplace_back();
    to.set_vm_id(to_string(vm.id));
    to.set_pid(static_cast<std::uint32_t>(vm.id.tgid));
    *to.mutable_start_time() = to_proto(vm.id.start, clocks);
    fill_identity(to, vm.identity);
    to.set_io_attribution(to_proto(vm.io_attribution));
    if (vm.cgroup) {
      fill_cgroup(to, *vm.cgroup);
    }
    const auto facts = facts_of.find(vm.id);
    const VmFacts* const vm_facts = facts == facts_of.end() ? nullptr : facts->second;
    if (vm_facts != nullptr) {
      fill_facts(to, *vm_facts);
    }
    const auto [io_begin, io_end] = io_of.equal_range(vm.id);
    for (auto io = io_begin; io != io_end; ++io) {
      fill_device_io(*to.add_device_ios(), *io->second, vm_facts, names, clocks);
    }
    const auto [incident_begin, incident_end] = incidents_of.equal_range(vm.id);
    for (auto incident = incident_begin; incident != incident_end; ++incident) {
      to.add_open_incident_ids(incident->second->id);
    }
    *to.mutable_watched_duration() =
        to_proto(std::max(Nanoseconds(0), snapshot.boot_time - vm.found_time));
  }
  return out;
}

std::vector<v1::BlockedTask> blocked_tasks_to_proto(const TickResult& result) {
  std::vector<v1::BlockedTask> out;
  if (!result.snapshot || !result.snapshot->tasks) {
    return out;
  }
  const Snapshot& snapshot = *result.snapshot;
  const std::vector<BlockedTask>& tasks = snapshot.tasks->blocked;
  std::vector<std::size_t> order(tasks.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    order[i] = i;
  }
  const auto since = [&](std::size_t i) {
    return tasks[i].off_cpu_since.value_or(BootTime{Nanoseconds::max()});
  };
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(since(a), a) < std::pair(since(b), b);
  });
  out.reserve(tasks.size());
  for (const std::size_t i : order) {
    const std::optional<VmId> vm =
        i < result.facts.vm_of_blocked.size() ? result.facts.vm_of_blocked[i] : std::nullopt;
    out.push_back(task_to_proto(tasks[i], vm, {snapshot.boot_time, snapshot.wall_time}));
  }
  return out;
}

}  // namespace hvguard::publish
