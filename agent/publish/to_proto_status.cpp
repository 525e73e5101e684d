#include <algorithm>

#include "base/text.h"
#include "model/names.h"
#include "publish/safe_line.h"
#include "publish/to_proto.h"
#include "publish/to_proto_limit.h"

namespace hvguard::publish {
namespace {

constexpr std::size_t kMaxDetailBytes = 512;

v1::AgentStatus agent_to_proto(const AgentFigures& agent, const TickResult& result) {
  v1::AgentStatus out;
  out.set_version(agent.version);
  *out.mutable_start_time() = to_proto(agent.start_time);
  out.set_epoch(agent.epoch);
  out.set_mode(to_proto(result.mode));
  out.set_tick_count(agent.tick_count);
  out.set_skipped_tick_count(agent.skipped_tick_count);
  *out.mutable_step_duration() = to_proto(agent.step_duration);
  *out.mutable_max_handler_duration() = to_proto(agent.max_handler_duration);
  out.set_reload_error(agent.reload_error);
  out.set_reload_count(agent.reload_count);
  for (const std::uint64_t count : agent.handler_time_buckets) {
    out.add_handler_time_buckets(count);
  }
  auto& drops = *out.mutable_drops();
  drops.set_finding_count(result.dropped_finding_count);
  drops.set_frame_count(agent.drops.frame_count);
  drops.set_log_count(agent.drops.log_count);
  drops.set_journal_count(agent.drops.journal_count);
  drops.set_refused_request_count(agent.drops.refused_request_count);
  drops.set_trimmed_count(agent.drops.trimmed_count);
  if (result.facts.host.own_cpu_cores) {
    out.set_cpu_cores(*result.facts.host.own_cpu_cores);
  }
  if (!result.snapshot) {
    return out;
  }
  const Snapshot& snapshot = *result.snapshot;
  drops.set_gap_count(snapshot.dropped_gap_count);
  *out.mutable_read_duration() = to_proto(snapshot.read_duration);
  if (snapshot.self.resident_bytes) {
    out.set_resident_bytes(*snapshot.self.resident_bytes);
  }
  if (snapshot.self.thread_count) {
    out.set_thread_count(*snapshot.self.thread_count);
  }
  return out;
}

v1::PressureRatios ratios(std::optional<double> some, std::optional<double> full) {
  v1::PressureRatios out;
  if (some) {
    out.set_some_ratio(*some);
  }
  if (full) {
    out.set_full_ratio(*full);
  }
  return out;
}

v1::HungTaskSettings settings_to_proto(const HungTaskSysctls& sysctls) {
  v1::HungTaskSettings out;
  if (sysctls.timeout_seconds) {
    out.mutable_timeout_duration()->set_seconds(
        static_cast<std::int64_t>(*sysctls.timeout_seconds));
  }
  if (sysctls.check_interval_seconds) {
    out.mutable_check_interval_duration()->set_seconds(
        static_cast<std::int64_t>(*sysctls.check_interval_seconds));
  }
  if (sysctls.hung_task_panic) {
    out.set_panic_task_count(*sysctls.hung_task_panic);
  }
  if (sysctls.warnings_left) {
    out.set_warning_left_count(*sysctls.warnings_left);
  }
  if (sysctls.panic_seconds) {
    out.set_panic_reboot_seconds(*sysctls.panic_seconds);
  }
  return out;
}

v1::DeviceStatus device_to_proto(const DeviceReading& device,
                                 const DeviceFacts* facts,
                                 const DeviceNames& names) {
  v1::DeviceStatus out;
  *out.mutable_device() = to_proto(device.id, names);
  if (facts != nullptr) {
    *out.mutable_read_rates() = to_proto(facts->read);
    *out.mutable_write_rates() = to_proto(facts->write);
    if (facts->busy_ratio) {
      out.set_busy_ratio(*facts->busy_ratio);
    }
  }
  for (const DeviceId& id : device.beneath) {
    *out.add_beneath() = to_proto(id, names);
  }
  if (device.suspended) {
    out.set_suspended(*device.suspended);
  }
  return out;
}

void fill_devices(v1::HostStatus& out, const TickResult& result) {
  const DeviceNames names = device_names(result);
  std::map<DeviceId, const DeviceFacts*> facts_of;
  for (const DeviceFacts& facts : result.facts.devices) {
    facts_of[facts.id] = &facts;
  }
  for (const DeviceReading& device : result.snapshot->devices) {
    const auto facts = facts_of.find(device.id);
    *out.add_devices() =
        device_to_proto(device, facts == facts_of.end() ? nullptr : facts->second, names);
  }
}

void fill_memory(v1::HostStatus& out, const Meminfo& meminfo) {
  if (meminfo.total_bytes) {
    out.set_memory_total_bytes(*meminfo.total_bytes);
  }
  if (meminfo.available_bytes) {
    out.set_memory_available_bytes(*meminfo.available_bytes);
  }
  if (meminfo.swap_total_bytes) {
    out.set_swap_total_bytes(*meminfo.swap_total_bytes);
  }
  if (meminfo.swap_free_bytes) {
    out.set_swap_free_bytes(*meminfo.swap_free_bytes);
  }
}

void fill_host_facts(v1::HostStatus& out, const HostFacts& facts) {
  if (facts.swap_in_bytes_per_second) {
    out.set_swap_in_bytes_per_second(*facts.swap_in_bytes_per_second);
  }
  if (facts.swap_out_bytes_per_second) {
    out.set_swap_out_bytes_per_second(*facts.swap_out_bytes_per_second);
  }
  if (facts.cpu_some_ratio) {
    *out.mutable_cpu_pressure() = ratios(facts.cpu_some_ratio, std::nullopt);
  }
  if (facts.memory_some_ratio || facts.memory_full_ratio) {
    *out.mutable_memory_pressure() = ratios(facts.memory_some_ratio, facts.memory_full_ratio);
  }
  if (facts.io_some_ratio || facts.io_full_ratio) {
    *out.mutable_io_pressure() = ratios(facts.io_some_ratio, facts.io_full_ratio);
  }
}

v1::HostStatus host_to_proto(const TickResult& result) {
  v1::HostStatus out;
  const Snapshot& snapshot = *result.snapshot;
  out.set_hostname(snapshot.host.hostname);
  out.set_boot_id(snapshot.boot_id);
  out.set_kernel_release(safe_text(snapshot.host.kernel_release, 128));
  *out.mutable_boot_time() = to_proto(BootTime{}, {snapshot.boot_time, snapshot.wall_time});
  if (const auto& load = snapshot.host.loadavg) {
    out.add_load_averages(load->one_minute);
    out.add_load_averages(load->five_minutes);
    out.add_load_averages(load->fifteen_minutes);
    out.set_thread_count(load->thread_count);
  }
  if (snapshot.host.meminfo) {
    fill_memory(out, *snapshot.host.meminfo);
  }
  fill_host_facts(out, result.facts.host);
  fill_devices(out, result);
  if (snapshot.host.hung_task) {
    *out.mutable_hung_task_settings() = settings_to_proto(*snapshot.host.hung_task);
  }
  return out;
}

v1::StatusCounts counts_to_proto(const TickResult& result) {
  v1::StatusCounts out;
  for (const Incident& incident : result.incidents) {
    if (incident.state != IncidentState::kOpen) {
      continue;
    }
    switch (incident.severity) {
      case Severity::kInfo:
        out.set_info_incident_count(out.info_incident_count() + 1);
        break;
      case Severity::kWarning:
        out.set_warning_incident_count(out.warning_incident_count() + 1);
        break;
      case Severity::kCritical:
        out.set_critical_incident_count(out.critical_incident_count() + 1);
        break;
    }
  }
  if (!result.snapshot) {
    return out;
  }
  out.set_vm_count(static_cast<std::uint32_t>(result.snapshot->vms.size()));
  if (!result.snapshot->tasks) {
    return out;
  }
  std::uint32_t blocked = 0;
  std::uint32_t killable = 0;
  for (const BlockedTask& task : result.snapshot->tasks->blocked) {
    const BlockedClass blocked_class = task.blocked_class;
    blocked += blocked_class == BlockedClass::kHard || blocked_class == BlockedClass::kUnknown;
    killable += blocked_class == BlockedClass::kKillable;
  }
  // The pass counts all of them; its list ends at kMaxBlockedTasks.
  const TaskPass& pass = *result.snapshot->tasks;
  out.set_blocked_task_count(
      std::max(blocked, static_cast<std::uint32_t>(pass.hard_count.value_or(0))));
  if (pass.killable_count) {
    out.set_killable_task_count(
        std::max(killable, static_cast<std::uint32_t>(*pass.killable_count)));
  }
  return out;
}

v1::SourceStatus source_to_proto(const SourceStatus& source, const ClockPair& clocks) {
  v1::SourceStatus out;
  out.set_source(std::string(to_string(source.source)));
  out.set_state(to_proto(source.state));
  out.set_detail(safe_line(source.detail, kMaxDetailBytes));
  if (source.last_good) {
    *out.mutable_last_good_time() = to_proto(*source.last_good, clocks);
  }
  out.set_dropped_count(source.dropped_count);
  return out;
}

}  // namespace

v1::Status status_to_proto(const TickResult& result,
                           const AgentFigures& agent,
                           const ClockPair& now) {
  v1::Status out;
  const ClockPair clocks = clocks_of(result, now);
  *out.mutable_agent() = agent_to_proto(agent, result);
  for (const Condition& condition : result.conditions) {
    *out.add_conditions() = to_proto(condition, clocks);
  }
  auto& advice = *out.mutable_schedule_advice();
  advice.set_state(to_proto(result.schedule_advice.schedulable));
  for (const std::string& reason : result.schedule_advice.reasons) {
    advice.add_reasons(reason);
  }
  *out.mutable_counts() = counts_to_proto(result);
  if (!result.snapshot) {
    return out;
  }
  *out.mutable_host() = host_to_proto(result);
  for (const SourceStatus& source : result.snapshot->sources) {
    *out.add_sources() = source_to_proto(source, clocks);
  }
  *out.mutable_observe_time() = to_proto(result.snapshot->wall_time);
  return out;
}

}  // namespace hvguard::publish
