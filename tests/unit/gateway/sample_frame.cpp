#include "sample_frame.h"

#include <algorithm>

#include <fmt/format.h>

namespace hvguard::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

WallTime earlier(WallTime now, Nanoseconds by) {
  return {now.since_epoch - by};
}

void set(google::protobuf::Duration& duration, Nanoseconds value) {
  duration.set_seconds(std::chrono::duration_cast<seconds>(value).count());
  duration.set_nanos(static_cast<std::int32_t>((value % seconds(1)).count()));
}

void set(v1::IoRates& rates, double operations, double bytes) {
  rates.set_operations_per_second(operations);
  rates.set_bytes_per_second(bytes);
}

v1::VmDeviceIo sample_io(std::uint32_t minor, double scale, WallTime now) {
  v1::VmDeviceIo io;
  io.mutable_device()->set_major(259);
  io.mutable_device()->set_minor(minor);
  io.mutable_device()->set_name(fmt::format("nvme{}n1", minor));
  set(*io.mutable_read_rates(), 100 * scale, 1048576 * scale);
  set(*io.mutable_write_rates(), 50 * scale, 524288 * scale);
  set(*io.mutable_read_latency()->mutable_p50_duration(), std::chrono::microseconds(256));
  set(*io.mutable_read_latency()->mutable_p99_duration(),
      std::chrono::microseconds(static_cast<std::int64_t>(4096 * scale)));
  set(*io.mutable_write_latency()->mutable_p50_duration(), std::chrono::microseconds(512));
  set(*io.mutable_write_latency()->mutable_p99_duration(), milliseconds(2));
  io.set_in_flight_count(3);
  *io.mutable_last_completion_time() = timestamp(earlier(now, milliseconds(40)));
  io.mutable_read_totals()->set_operation_count(1000);
  io.mutable_read_totals()->set_bytes(10'485'760);
  for (const std::uint64_t count : {0U, 0U, 0U, 0U, 0U, 0U, 12U, 500U, 300U, 100U, 0U, 88U}) {
    io.mutable_read_totals()->add_queue_time_buckets(count);
  }
  io.mutable_write_totals()->set_operation_count(500);
  io.mutable_write_totals()->set_bytes(5'242'880);
  io.mutable_write_totals()->set_error_count(2);
  return io;
}

void fill_evidence(v1::UncleanRebootEvidence& evidence, WallTime now) {
  set(*evidence.mutable_down_duration(), seconds(200));
  v1::BootRecord& boot = *evidence.mutable_previous_boot();
  boot.set_state(v1::BootRecord::STATE_RUNNING);
  boot.set_boot_id("6c1b3f0e-0000-4000-8000-000000000000");
  *boot.mutable_last_seen_time() = timestamp(earlier(now, seconds(500)));
  set(*boot.mutable_uptime_duration(), std::chrono::hours(50));
  boot.set_version("0.1.0");
  auto& figures = *boot.mutable_figures();
  figures.set_vm_count(37);
  figures.set_blocked_task_count(12);
  figures.set_load_average(412.5);
  figures.set_io_full_ratio(0.97);
  auto& incident = *boot.add_incidents();
  incident.set_kind("hung_task");
  incident.set_severity("critical");
  incident.set_subject_label("sda");
  incident.set_summary("12 tasks wait for sda");
  *incident.mutable_event_time() = timestamp(earlier(now, seconds(560)));
  boot.set_left_out_incident_count(2);
  auto& pstore = *boot.mutable_pstore();
  pstore.set_telling_line("Kernel panic - not syncing: hung_task: blocked tasks");
  auto& file = *pstore.add_files();
  file.set_path("/var/lib/systemd/pstore/dmesg-ramoops-0");
  file.set_size_bytes(10 << 10);
  *file.mutable_modify_time() = timestamp(earlier(now, seconds(300)));
}

void fill_evidence(v1::Incident& incident, WallTime now) {
  v1::IncidentTask task;
  task.set_tid(4242);
  task.set_pid(4200);
  task.set_comm("qemu worker");
  *task.mutable_blocked_since_time() = timestamp(earlier(now, seconds(42)));
  task.set_vm_id(incident.vm_id());
  auto& evidence = *incident.mutable_evidence();
  switch (incident.kind()) {
    case v1::Incident::KIND_HUNG_TASK: {
      auto& hung = *evidence.mutable_hung_task();
      hung.set_cause(v1::HungTaskEvidence::CAUSE_FROZEN_FS);
      hung.set_task_count(1);
      *hung.add_tasks() = task;
      hung.add_vm_ids(incident.vm_id());
      hung.add_stack("percpu_rwsem_wait");
      hung.add_stack("sb_start_write");
      break;
    }
    case v1::Incident::KIND_PANIC_FORECAST: {
      auto& panic = *evidence.mutable_panic_forecast();
      *panic.mutable_earliest_time() = timestamp(earlier(now, -seconds(48)));
      *panic.mutable_latest_time() = timestamp(earlier(now, -seconds(78)));
      set(*panic.mutable_timeout_duration(), seconds(120));
      set(*panic.mutable_scan_period_duration(), seconds(30));
      panic.set_needed_task_count(1);
      panic.set_reboots(true);
      *panic.add_tasks() = task;
      break;
    }
    case v1::Incident::KIND_IO_STALL: {
      auto& stall = *evidence.mutable_io_stall();
      stall.set_in_flight_count(7);
      *stall.mutable_stalled_since_time() = timestamp(earlier(now, seconds(42)));
      stall.set_device_suspended(true);
      break;
    }
    case v1::Incident::KIND_IO_CONTENTION: {
      auto& contention = *evidence.mutable_io_contention();
      auto& victim = *contention.add_victims();
      victim.set_name("the host itself");
      victim.set_device_time_ratio(0.04);
      set(*victim.mutable_write_p99_duration(), seconds(1));
      auto& culprit = *contention.add_culprits();
      culprit.set_vm_id(incident.vm_id());
      culprit.set_name("vm01");
      culprit.set_device_time_ratio(0.83);
      set(*culprit.mutable_read_p99_duration(), std::chrono::milliseconds(262));
      contention.set_left_out_culprit_count(2);
      contention.set_party_count(5);
      contention.set_fair_ratio(0.2);
      contention.set_in_device_count(61.4);
      set(*contention.mutable_latency_bound_duration(), std::chrono::milliseconds(128));
      contention.set_pressure_high(true);
      break;
    }
    case v1::Incident::KIND_VM_TOPOLOGY: {
      auto& topology = *evidence.mutable_vm_topology();
      topology.add_problems(v1::VmTopologyEvidence::PROBLEM_SHARED_UNIT);
      topology.set_remedy("start it with systemd-run --scope");
      break;
    }
    case v1::Incident::KIND_UNCLEAN_REBOOT:
      fill_evidence(*evidence.mutable_unclean_reboot(), now);
      break;
    default:
      evidence.mutable_agent_blind()->set_source("block_io");
      evidence.mutable_agent_blind()->set_degraded(true);
      evidence.mutable_agent_blind()->set_detail("no BTF: IO is counted from io.stat");
  }
}

void fill_host(v1::HostStatus& host, WallTime now) {
  host.set_hostname("hv07");
  host.set_boot_id("6c1b3f0e-0000-4000-8000-000000000001");
  host.set_kernel_release("6.1.0-26-amd64");
  *host.mutable_boot_time() = timestamp(earlier(now, std::chrono::hours(99)));
  for (const double load : {0.52, 0.4, 0.31}) {
    host.add_load_averages(load);
  }
  host.set_memory_total_bytes(std::uint64_t{64} << 30);
  host.set_memory_available_bytes(std::uint64_t{12} << 30);
  host.set_swap_total_bytes(std::uint64_t{8} << 30);
  host.set_swap_free_bytes(std::uint64_t{8} << 30);
  host.set_swap_in_bytes_per_second(0);
  host.mutable_io_pressure()->set_some_ratio(0.12);
  host.mutable_io_pressure()->set_full_ratio(0.083);
  host.mutable_cpu_pressure()->set_some_ratio(0.031);
  for (std::uint32_t minor = 0; minor < 2; ++minor) {
    auto& device = *host.add_devices();
    device.mutable_device()->set_major(259);
    device.mutable_device()->set_minor(minor);
    device.mutable_device()->set_name(fmt::format("nvme{}n1", minor));
    device.set_busy_ratio(0.1 + minor);
    set(*device.mutable_read_rates(), 10, 40960);
  }
  auto& hung = *host.mutable_hung_task_settings();
  set(*hung.mutable_timeout_duration(), seconds(120));
  hung.set_panic_task_count(1);
  hung.set_panic_reboot_seconds(10);
}

void fill_status(v1::Status& status, const link::Frame& frame, WallTime now) {
  auto& agent = *status.mutable_agent();
  agent.set_version("0.1.0");
  *agent.mutable_start_time() = timestamp(earlier(now, std::chrono::hours(2)));
  agent.set_epoch(frame.epoch);
  agent.set_mode(v1::AgentStatus::MODE_OBSERVE);
  agent.set_tick_count(frame.tick);
  set(*agent.mutable_read_duration(), std::chrono::microseconds(6300));
  set(*agent.mutable_step_duration(), std::chrono::microseconds(410));
  agent.set_cpu_cores(0.0042);
  agent.set_resident_bytes(std::uint64_t{11} << 20);
  fill_host(*status.mutable_host(), now);
  auto& io = *status.add_conditions();
  io.set_kind(v1::Condition::KIND_IO_PRESSURE);
  io.set_state(v1::Condition::STATE_FALSE);
  auto& hung = *status.add_conditions();
  hung.set_kind(v1::Condition::KIND_HUNG_TASKS);
  hung.set_state(v1::Condition::STATE_TRUE);
  hung.set_reason("TasksBlocked");
  hung.set_message("1 task blocked for 42 s");
  *hung.mutable_last_transition_time() = timestamp(earlier(now, seconds(32)));
  status.mutable_schedule_advice()->set_state(v1::ScheduleAdvice::STATE_NO);
  status.mutable_schedule_advice()->add_reasons("a kernel panic is near");
  auto& good = *status.add_sources();
  good.set_source("tasks");
  good.set_state(v1::SourceStatus::STATE_OK);
  auto& degraded = *status.add_sources();
  degraded.set_source("block_io");
  degraded.set_state(v1::SourceStatus::STATE_DEGRADED);
  degraded.set_detail("no BTF: IO is counted from io.stat");
  *degraded.mutable_last_good_time() = timestamp(earlier(now, milliseconds(400)));
  auto& counts = *status.mutable_counts();
  counts.set_vm_count(static_cast<std::uint32_t>(frame.vms.size()));
  counts.set_blocked_task_count(1);
  counts.set_killable_task_count(1);
  counts.set_critical_incident_count(1);
  counts.set_warning_incident_count(4);
  counts.set_limit_in_force_count(1);
  counts.set_dry_run_limit_count(1);
  counts.set_failed_limit_count(1);
  *status.mutable_observe_time() = timestamp(earlier(now, milliseconds(400)));
}

}  // namespace

google::protobuf::Timestamp timestamp(WallTime time) {
  google::protobuf::Timestamp out;
  out.set_seconds(std::chrono::duration_cast<seconds>(time.since_epoch).count());
  out.set_nanos(static_cast<std::int32_t>((time.since_epoch % seconds(1)).count()));
  return out;
}

v1::Vm sample_vm(int number, WallTime now) {
  v1::Vm vm;
  vm.set_vm_id(fmt::format("{}-000000e8d4a51000-{}", 4000 + number, 20 + number));
  vm.set_name(fmt::format("vm{:02}", number));
  vm.set_name_source(v1::Vm::NAME_SOURCE_COMMAND_LINE);
  vm.set_uuid(fmt::format("00000000-0000-4000-8000-{:012}", number));
  vm.set_pid(static_cast<std::uint32_t>(4000 + number));
  *vm.mutable_start_time() = timestamp(earlier(now, std::chrono::hours(3)));
  vm.set_manager(v1::Vm::MANAGER_QEMU);
  vm.set_executable("qemu-system-x86_64");
  vm.set_accelerator(v1::Vm::ACCELERATOR_KVM);
  vm.set_guest_memory_bytes(std::uint64_t{2} << 30);
  vm.set_vcpu_count(2);
  vm.set_unit(fmt::format("machine-qemu-{}.scope", number));
  vm.set_cgroup_path(fmt::format("/machine.slice/machine-qemu-{}.scope", number));
  vm.set_cpu_cores(0.25 * number);
  vm.set_memory_bytes(static_cast<std::uint64_t>(number) << 28);
  vm.set_task_count(9);
  set(*vm.mutable_read_rates(), 100 * number, 1048576.0 * number);
  set(*vm.mutable_write_rates(), 50 * number, 524288.0 * number);
  *vm.add_device_ios() = sample_io(0, number, now);
  *vm.add_device_ios() = sample_io(1, 0.5 * number, now);
  if (number == 1) {
    vm.set_blocked_task_count(1);
    vm.add_open_incident_ids("1a2b0001");
  }
  return vm;
}

v1::BlockedTask sample_task(int number, WallTime now) {
  v1::BlockedTask task;
  task.set_tid(static_cast<std::uint32_t>(4240 + number));
  task.set_pid(4200);
  task.set_comm("qemu worker");
  task.set_state(number % 2 == 0 ? v1::BlockedTask::STATE_HARD : v1::BlockedTask::STATE_KILLABLE);
  *task.mutable_blocked_since_time() = timestamp(earlier(now, seconds(42 - number)));
  task.set_vm_id(sample_vm(1, now).vm_id());
  task.add_stack("percpu_rwsem_wait");
  task.add_stack("sb_start_write");
  return task;
}

v1::Incident sample_incident(int number, v1::Incident::Kind kind, WallTime now) {
  v1::Incident incident;
  incident.set_incident_id(fmt::format("1a2b{:04}", number));
  incident.set_kind(kind);
  incident.set_state(v1::Incident::STATE_OPEN);
  incident.set_severity(kind == v1::Incident::KIND_PANIC_FORECAST ? v1::Incident::SEVERITY_CRITICAL
                                                                  : v1::Incident::SEVERITY_WARNING);
  incident.set_peak_severity(v1::Incident::SEVERITY_CRITICAL);
  incident.set_subject_key(fmt::format("subject-{}", number));
  incident.set_subject_label("VM vm01");
  incident.set_vm_id(sample_vm(1, now).vm_id());
  incident.set_summary(fmt::format("made-up trouble number {}", number));
  *incident.mutable_event_time() = timestamp(earlier(now, seconds(42 + number)));
  *incident.mutable_detect_time() = timestamp(earlier(now, seconds(32 + number)));
  incident.set_revision(1);
  fill_evidence(incident, now);
  return incident;
}

v1::Limit sample_limit(int number, WallTime now) {
  v1::Limit limit;
  limit.set_vm_id(sample_vm(1, now).vm_id());
  limit.set_vm_name("vm01");
  if (number != 3) {
    limit.set_kind(number == 2   ? v1::Limit::KIND_READ_OPERATIONS
                   : number == 4 ? v1::Limit::KIND_WRITE_BYTES
                                 : v1::Limit::KIND_READ_BYTES);
    limit.mutable_device()->set_major(259);
    limit.mutable_device()->set_name("nvme0n1");
  }
  limit.set_value(number == 2 ? 400 : std::uint64_t{40} << 20);
  *limit.mutable_since_time() = timestamp(earlier(now, seconds(20)));
  limit.set_lever(v1::Limit::LEVER_SYSTEMD);
  switch (number) {
    case 1:
      limit.set_origin(v1::Limit::ORIGIN_GUARD_RULE);
      limit.set_reason("83 % of the device's time, a fair share is 20 %");
      limit.set_incident_id("1a2b0007");
      *limit.mutable_expire_time() = timestamp(earlier(now, -seconds(58)));
      limit.set_in_kernel_value(limit.value());
      limit.set_state(v1::Limit::STATE_IN_FORCE);
      break;
    case 2:
      limit.set_origin(v1::Limit::ORIGIN_BASELINE);
      limit.set_dry_run(true);
      limit.set_reason("class small");
      limit.set_state(v1::Limit::STATE_DRY_RUN);
      limit.clear_since_time();
      limit.clear_lever();
      break;
    case 3:
      limit.set_kind(v1::Limit::KIND_MEMORY_HIGH);
      limit.set_value(std::uint64_t{5} << 30);
      limit.set_origin(v1::Limit::ORIGIN_OPERATOR);
      limit.set_reason("leak, ticket 17");
      *limit.mutable_expire_time() = timestamp(earlier(now, -std::chrono::hours(2)));
      limit.set_state(v1::Limit::STATE_FAILED);
      limit.set_failed_attempt_count(3);
      limit.set_detail("systemd did not answer within 2 s: `systemctl status`");
      break;
    default:
      limit.clear_value();
      limit.set_in_kernel_value(std::uint64_t{10} << 20);
      limit.set_state(v1::Limit::STATE_FOREIGN);
      limit.set_detail("someone set 10 MiB/s: hvguard leaves it alone");
  }
  return limit;
}

v1::Decision sample_decision(int number, WallTime now) {
  v1::Decision decision;
  decision.set_sequence(static_cast<std::uint64_t>(number) + 4);
  decision.set_vm_id(sample_vm(1, now).vm_id());
  decision.set_vm_name("vm01");
  decision.set_incident_id("1a2b0007");
  decision.set_kind(v1::Limit::KIND_READ_BYTES);
  decision.mutable_device()->set_major(259);
  decision.mutable_device()->set_name("nvme0n1");
  *decision.mutable_decide_time() = timestamp(earlier(now, seconds(40 - 10 * number)));
  decision.set_step(static_cast<v1::Decision::Step>(number));
  decision.set_value(std::uint64_t{160} << (20 - number));
  decision.set_reason("victims still wait");
  if (number == 3) {
    decision.set_step(v1::Decision::STEP_REFUSED);
    decision.set_value(std::uint64_t{8} << 20);
    decision.set_reason("the floor is 16 MiB/s");
    decision.set_repeat_count(12);
  }
  return decision;
}

link::Frame sample_frame(std::uint64_t tick, WallTime now, int vm_count) {
  link::Frame frame;
  frame.epoch = 7;
  frame.tick = tick;
  for (int number = 1; number <= vm_count; ++number) {
    frame.vms.push_back(sample_vm(number, now));
  }
  frame.blocked_tasks = {sample_task(0, now), sample_task(1, now)};
  for (int kind = v1::Incident::KIND_HUNG_TASK; kind <= v1::Incident::Kind_MAX; ++kind) {
    frame.incidents.push_back(sample_incident(kind, static_cast<v1::Incident::Kind>(kind), now));
  }
  for (int number = 1; number <= 4; ++number) {
    frame.limits.push_back(sample_limit(number, now));
  }
  for (int number = 1; number <= 3; ++number) {
    frame.decisions.push_back(sample_decision(number, now));
  }
  fill_status(frame.status, frame, now);
  return frame;
}

std::vector<std::string> to_packets(const link::Frame& frame, int items_per_part) {
  std::vector<v1::CorePacket> parts(1);
  *parts[0].mutable_frame_part()->mutable_status() = frame.status;
  int items = 0;
  const auto next_part = [&]() -> v1::FramePart& {
    if (++items > items_per_part || parts.back().ByteSizeLong() > 40'000) {
      parts.emplace_back();
      items = 1;
    }
    return *parts.back().mutable_frame_part();
  };
  for (const v1::Vm& vm : frame.vms) {
    *next_part().add_vms() = vm;
  }
  for (const v1::BlockedTask& task : frame.blocked_tasks) {
    *next_part().add_blocked_tasks() = task;
  }
  for (const v1::Incident& incident : frame.incidents) {
    *next_part().add_incidents() = incident;
  }
  for (const v1::Limit& limit : frame.limits) {
    *next_part().add_limits() = limit;
  }
  for (const v1::Decision& decision : frame.decisions) {
    *next_part().add_decisions() = decision;
  }
  std::vector<std::string> packets;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    auto& part = *parts[i].mutable_frame_part();
    part.set_epoch(frame.epoch);
    part.set_tick(frame.tick);
    part.set_part(static_cast<std::uint32_t>(i));
    part.set_last(i + 1 == parts.size());
    packets.push_back(parts[i].SerializeAsString());
  }
  return packets;
}

}  // namespace hvguard::test
