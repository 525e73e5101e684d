#include "host/host.h"

#include <algorithm>
#include <bit>

namespace hvguard::test {
namespace {

// jiffies at the boot clock's zero: like a kernel's INITIAL_JIFFIES, not zero.
constexpr std::uint64_t kFirstJiffies = 4'294'892'296;

std::size_t bucket_of(Nanoseconds time) {
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(time).count();
  const auto width =
      std::bit_width(static_cast<std::uint64_t>(std::max<std::int64_t>(microseconds, 1)));
  return std::min(static_cast<std::size_t>(width) - 1, kLatencyBuckets - 1);
}

void complete(SimulatedLoad& load, double seconds) {
  load.begun += load.load.per_second * seconds;
  const auto count = static_cast<std::uint64_t>(load.begun + 1e-6);
  load.begun -= static_cast<double>(count);
  load.done.operations.value += count;
  load.done.bytes.value += count * 4096;
  load.done.queue_time.at(bucket_of(load.load.queue_time)) += count;
  load.done.device_time.at(bucket_of(load.load.device_time)) += count;
}

}  // namespace

Host::Host(std::uint32_t hz) : hz_(hz), khungtaskd_(hz, kFirstJiffies + 900ULL * hz + 37) {
  for (std::size_t i = 0; i < kSourceCount; ++i) {
    sources_.at(i) = {.source = static_cast<Source>(i),
                      .state = SourceState::kOk,
                      .detail = "",
                      .last_good = now_,
                      .dropped_count = 0};
  }
  khungtaskd_.run_until(jiffies_at(now_));
}

std::uint64_t Host::jiffies_at(BootTime moment) const {
  return kFirstJiffies +
         static_cast<std::uint64_t>(moment.since_boot.count()) / 1000 * hz_ / 1'000'000;
}

BootTime Host::boot_time_of(std::uint64_t jiffies) const {
  return {
      Nanoseconds(static_cast<std::int64_t>((jiffies - kFirstJiffies) * 1'000'000 / hz_) * 1000)};
}

void Host::advance(Nanoseconds span) {
  const BootTime target = now_ + span;
  // In steps of 100 ms, so that sleepers wake near their time and khungtaskd sees it.
  while (now_ < target) {
    const Nanoseconds step = std::min<Nanoseconds>(std::chrono::milliseconds(100), target - now_);
    now_ = now_ + step;
    wake_sleepers();
    khungtaskd_.run_until(jiffies_at(now_));
    move_io(step);
    io_full_microseconds_ += static_cast<std::uint64_t>(to_seconds(step) * 1e6 * io_full_ratio_);
    memory_full_microseconds_ +=
        static_cast<std::uint64_t>(to_seconds(step) * 1e6 * memory_full_ratio_);
  }
}

void Host::wake_sleepers() {
  for (auto& [tid, sleeper] : sleepers_) {
    while (sleeper.wakes_every && sleeper.next_wake <= now_) {
      ++sleeper.task.switch_count;
      sleeper.task.off_cpu_since = sleeper.next_wake;
      sleeper.next_wake = sleeper.next_wake + *sleeper.wakes_every;
      khungtaskd_.tasks()[tid].switch_count = sleeper.task.switch_count;
    }
  }
}

void Host::move_io(Nanoseconds span) {
  for (auto& [key, io] : io_) {
    if (io.motion == IoMotion::kMoving) {
      io.completed_count += static_cast<std::uint64_t>(to_seconds(span) * 1000);
      io.last_completion = now_;
    } else if (io.motion == IoMotion::kIdle) {
      io.last_idle = now_;
    }
    for (SimulatedLoad& load : io.loads) {
      complete(load, to_seconds(span));
    }
  }
}

VmId Host::add_vm(const std::string& name, Pid pid) {
  VmReading vm;
  vm.id = {.tgid = pid,
           .start = BootTime{std::chrono::seconds(500)},
           .cgroup = CgroupId{static_cast<std::uint64_t>(pid) + 100'000}};
  vm.identity.name = name;
  vm.identity.name_source = VmNameSource::kCommandLine;
  vm.identity.manager = VmManager::kQemu;
  vm.identity.unit = "machine-qemu-" + name + ".scope";
  vm.identity.cgroup_path = "/machine.slice/" + vm.identity.unit;
  vm.identity.kill_mode = "none";
  vm.identity.probed = true;
  vm.found_time = now_;
  vm.cgroups = {vm.id.cgroup};
  vm.topology.foreign_process_count = 0;
  vm.topology.other_vm_count = 0;
  vms_.push_back(vm);
  return vm.id;
}

void Host::remove_vm(const std::string& name) {
  const VmId id = vm(name).id;
  departed_.push_back({.id = id, .name = name, .exit_time = now_});
  std::erase_if(vms_, [&](const VmReading& one) { return one.id == id; });
  std::erase_if(io_, [&](const auto& entry) { return entry.first.first == id; });
  std::vector<Pid> gone;
  for (const auto& [tid, sleeper] : sleepers_) {
    if (sleeper.task.tgid == id.tgid) {
      gone.push_back(tid);
    }
  }
  for (const Pid tid : gone) {
    unblock(tid);
  }
}

VmReading& Host::vm(const std::string& name) {
  return *std::find_if(
      vms_.begin(), vms_.end(), [&](const VmReading& one) { return one.identity.name == name; });
}

Sleeper& Host::block(Pid tid, BlockedClass blocked_class, std::vector<std::string> stack) {
  Sleeper sleeper;
  sleeper.task.id = {.tid = tid, .start = BootTime{std::chrono::seconds(600)}};
  sleeper.task.tgid = tid;
  sleeper.task.comm = "task";
  sleeper.task.blocked_class = blocked_class;
  sleeper.task.off_cpu_since = now_;
  sleeper.task.switch_count = 1000 + static_cast<std::uint64_t>(elapsed().count() / 1'000'000);
  sleeper.task.stack = std::move(stack);
  SimulatedTask& simulated = khungtaskd_.tasks()[tid];
  simulated.hard = blocked_class == BlockedClass::kHard;
  simulated.switch_count = sleeper.task.switch_count;
  return sleepers_[tid] = std::move(sleeper);
}

void Host::unblock(Pid tid) {
  sleepers_.erase(tid);
  khungtaskd_.tasks().erase(tid);
}

void Host::set_wakes(Pid tid, Nanoseconds every) {
  Sleeper& sleeper = sleepers_.at(tid);
  sleeper.wakes_every = every;
  sleeper.next_wake = now_ + every;
}

void Host::set_sysctls(std::uint64_t timeout, std::uint64_t interval, std::uint64_t panic) {
  timeout_ = timeout;
  interval_ = interval;
  panic_ = panic;
  khungtaskd_.set_sysctls(timeout, interval, panic);
}

void Host::set_source(Source source, SourceState state, const std::string& detail) {
  SourceStatus& status = sources_.at(static_cast<std::size_t>(source));
  status.state = state;
  status.detail = detail;
}

void Host::set_io(const std::optional<VmId>& vm, DeviceId device, IoMotion motion) {
  SimulatedIo& io = io_[{vm, device}];
  if (io.motion == IoMotion::kIdle) {
    io.last_idle = now_;
  }
  io.motion = motion;
}

void Host::set_load(const std::optional<VmId>& vm,
                    DeviceId device,
                    IoOperation operation,
                    const IoLoad& load) {
  const auto [at, is_new] = io_.try_emplace({vm, device});
  if (is_new) {
    at->second.last_idle = now_;
  }
  at->second.loads.at(static_cast<std::size_t>(operation)).load = load;
}

void Host::reset_counters() {
  for (auto& [key, io] : io_) {
    io.completed_count = 0;
    for (SimulatedLoad& load : io.loads) {
      load.done = {};
    }
  }
  io_full_microseconds_ = 0;
  memory_full_microseconds_ = 0;
}

TaskPass Host::task_pass() {
  TaskPass pass;
  pass.pass_time = now_;
  pass.seen_count = 1000;
  if (!proc_only_) {
    pass.jiffies = jiffies_at(now_);
    pass.khungtaskd_ran = boot_time_of(khungtaskd_.last_arrival_jiffies());
  }
  for (const auto& [tid, sleeper] : sleepers_) {
    BlockedTask task = sleeper.task;
    const SimulatedTask& simulated = khungtaskd_.tasks().at(tid);
    task.last_switch_count = simulated.last_switch_count;
    task.last_switch_jiffies = simulated.last_switch_jiffies;
    if (proc_only_) {
      task.blocked_class = BlockedClass::kUnknown;
      task.off_cpu_since.reset();
      task.last_switch_count.reset();
      task.last_switch_jiffies.reset();
      task.stack.clear();
      task.lock.reset();
    }
    pass.blocked.push_back(std::move(task));
  }
  return pass;
}

std::shared_ptr<const Snapshot> Host::snapshot() {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->boot_id = kBootId;
  snapshot->tick = ++tick_;
  snapshot->boot_time = now_;
  snapshot->wall_time = {now_.since_boot + std::chrono::seconds(1'700'000'000)};
  snapshot->interval = std::chrono::seconds(1);
  const auto psi = [](std::uint64_t microseconds) {
    Pressure pressure;
    pressure.some = PressureLine{.total_microseconds = Counter{microseconds}};
    pressure.full = pressure.some;
    return pressure;
  };
  if (sources_.at(static_cast<std::size_t>(Source::kPressure)).state != SourceState::kBlind) {
    snapshot->host.io_pressure = psi(io_full_microseconds_);
    snapshot->host.memory_pressure = psi(memory_full_microseconds_);
  }
  snapshot->host.swap_devices.emplace();
  snapshot->host.hung_task = HungTaskSysctls{.timeout_seconds = timeout_,
                                             .check_interval_seconds = interval_,
                                             .check_count = check_count_,
                                             .warnings_left = 0,
                                             .detect_count = 0,
                                             .hung_task_panic = panic_,
                                             .panic_seconds = 10};
  for (SourceStatus& status : sources_) {
    if (status.state != SourceState::kBlind) {
      status.last_good = now_;
    }
  }
  snapshot->sources = sources_;
  if (snapshot->source(Source::kTasks).state != SourceState::kBlind && !leave_out_tasks_) {
    snapshot->tasks = task_pass();
  }
  leave_out_tasks_ = false;
  snapshot->previous_boot = previous_boot_;
  snapshot->devices = devices_;
  snapshot->vms = vms_;
  snapshot->departed_vms = std::move(departed_);
  departed_.clear();
  if (snapshot->source(Source::kBlockIo).state != SourceState::kBlind) {
    for (const auto& [key, io] : io_) {
      BlockIoReading reading;
      reading.vm = key.first;
      reading.device = key.second;
      reading.counts_only = counts_only_;
      for (std::size_t i = 0; i < kIoOperationCount; ++i) {
        reading.by_operation.at(i) = io.loads.at(i).done;
        if (counts_only_) {
          reading.by_operation.at(i).queue_time = {};
          reading.by_operation.at(i).device_time = {};
        }
      }
      reading.by_operation[0].operations.value += io.completed_count;
      reading.by_operation[0].bytes.value += io.completed_count * 4096;
      reading.in_flight_count = io.motion == IoMotion::kIdle ? 0 : 4;
      if (io.last_completion != BootTime{}) {
        reading.last_completion = io.last_completion;
      }
      reading.last_idle = io.last_idle;
      snapshot->block_io.push_back(reading);
    }
  }
  return snapshot;
}

}  // namespace hvguard::test
