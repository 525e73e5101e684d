// What safety takes of a tick on a host with 1000 VMs, each on a volume of its own.
//   held      250 dynamic limits hold and are renewed, as in most ticks of a long contention
//   arrival   the same 250 are new
//   refused   1000 limits are wanted and refused, all said long ago
//   classes   8 baselines for each VM, and the 250
// CPU time. Needs no root.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "decide/safety.h"

namespace hvguard {
namespace {

using std::chrono::seconds;

constexpr int kVmCount = 1000;
constexpr int kLimitCount = 250;

VmId vm_id(int number) {
  return {.tgid = 10'000 + number,
          .start = {seconds(number)},
          .cgroup = {static_cast<std::uint64_t>(5'000 + number)}};
}

DeviceId volume(int number) {
  return {253, static_cast<std::uint32_t>(number)};
}

class Host {
 public:
  SafetyConfig config;
  SafetyInput input;

  Host() {
    config.max_changes_per_minute = kLimitCount;
    for (SourceStatus& source : snapshot_.sources) {
      source.state = SourceState::kOk;
    }
    snapshot_.host.hung_task.emplace();
    snapshot_.host.hung_task->timeout_seconds = 120;
    snapshot_.host.swap_devices = {{8, 16}};
    snapshot_.tasks.emplace();
    for (std::uint32_t disk = 0; disk < 2; ++disk) {
      DeviceReading device;
      device.id = {8, 16 * disk};
      snapshot_.devices.push_back(device);
    }
    for (int i = 0; i < kVmCount; ++i) {
      add_vm(i);
    }
    Incident incident;
    incident.id = "3e8-1-0f1e2d3c";
    incident.kind = IncidentKind::kIoContention;
    incidents_.push_back(incident);
    input.own_cgroup_path = "/system.slice/hvguardd.service";
    input.own_unit = "hvguardd.service";
    input.snapshot = &snapshot_;
    input.facts = &facts_;
    input.incidents = &incidents_;
    next_tick();
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  void next_tick() {
    snapshot_.boot_time = snapshot_.boot_time + seconds(1);
    input.now = snapshot_.boot_time;
  }
  void want(int vm, LimitKind kind, std::uint64_t value, LimitOrigin origin) {
    Limit limit;
    limit.key = {
        .vm = vm_id(vm), .kind = kind, .device = is_per_device(kind) ? volume(vm) : DeviceId{}};
    limit.value = value;
    limit.origin = origin;
    limit.reason = "io_contention on sda: 4 VMs wait up to 800 ms, this one takes 62 % of it";
    if (origin == LimitOrigin::kGuardRule) {
      limit.incident_id = incidents_[0].id;
    }
    input.wanted.push_back(limit);
  }
  void want_cuts() {
    for (int i = 0; i < kLimitCount; ++i) {
      want(i, LimitKind::kReadBytes, 50'000'000, LimitOrigin::kGuardRule);
    }
  }

 private:
  void add_vm(int number) {
    VmReading vm;
    vm.id = vm_id(number);
    vm.identity.unit = "machine-qemu\\x2d" + std::to_string(number) + ".scope";
    vm.identity.cgroup_path = "/machine.slice/" + vm.identity.unit;
    vm.identity.vcpu_count = 4;
    vm.topology.foreign_process_count = 0;
    vm.topology.other_vm_count = 0;
    vm.cgroup.emplace();
    vm.cgroup->memory_bytes = 1ULL << 30U;
    vm.cgroup->pids_count = 80;
    snapshot_.vms.push_back(vm);
    DeviceReading device;
    device.id = volume(number);
    device.beneath = {{8, 0}};
    snapshot_.devices.push_back(device);
    BlockIoReading io;
    io.vm = vm.id;
    io.device = device.id;
    io.in_flight_count = 32;
    snapshot_.block_io.push_back(io);
    VmFacts facts;
    facts.id = vm.id;
    facts.read.bytes_per_second = number * 1e6;
    facts_.vms.push_back(facts);
  }

  Snapshot snapshot_;
  Facts facts_;
  std::vector<Incident> incidents_;
};

void run(benchmark::State& loop, Host& host) {
  SafetyState state;
  benchmark::DoNotOptimize(make_safe(host.config, state, host.input));
  for (int i = 0; i < 100; ++i) {  // until all refusals are said
    host.next_tick();
    benchmark::DoNotOptimize(make_safe(host.config, state, host.input));
  }
  for (auto iteration : loop) {
    host.next_tick();
    benchmark::DoNotOptimize(make_safe(host.config, state, host.input));
  }
}

void held(benchmark::State& loop) {
  Host host;
  host.want_cuts();
  run(loop, host);
}
BENCHMARK(held)->Unit(benchmark::kMicrosecond);

void arrival(benchmark::State& loop) {
  Host host;
  host.want_cuts();
  for (auto iteration : loop) {
    SafetyState state;
    benchmark::DoNotOptimize(make_safe(host.config, state, host.input));
  }
}
BENCHMARK(arrival)->Unit(benchmark::kMicrosecond);

void refused(benchmark::State& loop) {
  Host host;
  for (int i = 0; i < kVmCount; ++i) {
    host.want(i, LimitKind::kWriteBytes, 50'000'000, LimitOrigin::kBaseline);
  }
  run(loop, host);
}
BENCHMARK(refused)->Unit(benchmark::kMicrosecond);

void classes(benchmark::State& loop) {
  Host host;
  for (int i = 0; i < kVmCount; ++i) {
    for (const LimitKind kind : {LimitKind::kReadBytes,
                                 LimitKind::kReadOperations,
                                 LimitKind::kIoWeight,
                                 LimitKind::kMemoryHigh,
                                 LimitKind::kSwapMax,
                                 LimitKind::kPidsMax,
                                 LimitKind::kCpuMax,
                                 LimitKind::kCpuWeight}) {
      const bool is_weight = kind == LimitKind::kIoWeight || kind == LimitKind::kCpuWeight;
      host.want(i, kind, is_weight ? 100 : 4ULL << 30U, LimitOrigin::kBaseline);
    }
  }
  host.want_cuts();
  run(loop, host);
}
BENCHMARK(classes)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace hvguard

BENCHMARK_MAIN();
