// What the main loop does with one reading of a host with 200 VMs of 2 disks each: detection,
// audit, saved state, frame, and sending it to one subscriber; all of it is one handler's turn in
// hvguardd.
//   arrival  all VMs are new, and each opens an incident (they share a unit)
//   steady   nothing happens
//   empty    steady, without VMs
// and the parts of the arrival, with the step alone when nothing happens. CPU time. The peer is
// what only the kernel can make cheaper: the arrival's journal records and packets, ready-made,
// through the same kind of sockets. A first arrival, with memory that was never used, is a run with
// --benchmark_min_time=0.0000001. Needs no root.
#include <benchmark/benchmark.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "decide/pipeline.h"
#include "guard/publisher.h"
#include "hvguard/v1/core_link.pb.h"
#include "publish/frame.h"

namespace hvguard {
namespace {

constexpr int kVmCount = 200;
constexpr int kDevicesEach = 2;

[[noreturn]] void die(const std::string& why) {
  fmt::print(stderr, "tick_bench: {}\n", why);
  std::exit(1);
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// ---- the host ----------------------------------------------------------------------------------

VmReading vm_reading(int number, BootTime found) {
  VmReading vm;
  vm.id = {.tgid = 10'000 + number,
           .start = {found.since_boot - std::chrono::milliseconds(number)},
           .cgroup = {static_cast<std::uint64_t>(5'000 + number)}};
  vm.found_time = found;
  vm.identity.name = fmt::format("vm-{:03}", number);
  vm.identity.name_source = VmNameSource::kCommandLine;
  vm.identity.uuid = fmt::format("7b1f0a52-30c1-4b1c-9d0e-{:012}", number);
  vm.identity.manager = VmManager::kQemu;
  vm.identity.executable = "qemu-system-x86_64";
  vm.identity.accelerator = Accelerator::kKvm;
  vm.identity.guest_memory_bytes = 1ULL << 30U;
  vm.identity.vcpu_count = 4;
  vm.identity.unit = "vms.service";
  vm.identity.cgroup_path = "/system.slice/vms.service";
  vm.identity.kill_mode = "control-group";
  vm.identity.probed = true;
  vm.topology = {
      .foreign_process_count = 3, .other_vm_count = kVmCount - 1, .missing_controllers = {}};
  vm.cgroups = {vm.id.cgroup};
  VmCgroupReading cgroup;
  cgroup.cpu_microseconds = Counter{1'000'000};
  cgroup.memory_bytes = 1ULL << 30U;
  cgroup.swap_bytes = 0;
  cgroup.pids_count = 80;
  cgroup.pids_max = 16'384;
  const PressureTotals pressure{Counter{1000}, Counter{500}};
  cgroup.cpu_pressure = pressure;
  cgroup.memory_pressure = pressure;
  cgroup.io_pressure = pressure;
  vm.cgroup = cgroup;
  vm.io_attribution = IoAttribution::kSubmitter;
  return vm;
}

BlockIoReading io_reading(const VmReading& vm, DeviceId device, BootTime now, std::uint64_t tick) {
  BlockIoReading io;
  io.vm = vm.id;
  io.device = device;
  for (IoOperationReading& operation : io.by_operation) {
    operation.operations = Counter{1000 * tick};
    operation.bytes = Counter{4'096'000 * tick};
    for (std::size_t bucket = 4; bucket < 14; ++bucket) {
      operation.queue_time.at(bucket) = 100 * tick;
      operation.device_time.at(bucket) = 100 * tick;
    }
  }
  io.in_flight_count = 2;
  io.flush_in_flight_count = 0;
  io.last_completion = now;
  io.last_idle = now;
  return io;
}

DeviceReading device_reading(std::uint32_t number, std::uint64_t tick) {
  DeviceReading device;
  device.id = {259, number};
  device.name = fmt::format("nvme{}n1", number);
  device.read_operations = Counter{100'000 * tick};
  device.read_bytes = Counter{409'600'000 * tick};
  device.write_operations = device.read_operations;
  device.write_bytes = device.read_bytes;
  device.busy_microseconds = Counter{500'000 * tick};
  device.in_flight_count = 4;
  return device;
}

std::shared_ptr<const Snapshot> snapshot(std::uint64_t tick, int vm_count) {
  auto made = std::make_shared<Snapshot>();
  made->boot_id = "11111111-2222-3333-4444-555555555555";
  made->tick = tick;
  made->boot_time = {std::chrono::seconds(1000 + tick)};
  made->wall_time = {std::chrono::seconds(1'700'000'000 + tick)};
  made->interval = std::chrono::seconds(1);
  made->host.hostname = "host";
  TaskPass& pass = made->tasks.emplace();
  pass.pass_time = made->boot_time;
  pass.seen_count = 10'000;
  pass.hard_count = 0;
  for (std::size_t i = 0; i < kSourceCount; ++i) {
    made->sources.at(i) = {.source = static_cast<Source>(i),
                           .state = SourceState::kOk,
                           .detail = "",
                           .last_good = made->boot_time};
  }
  for (std::uint32_t i = 0; i < kDevicesEach; ++i) {
    made->devices.push_back(device_reading(i, tick));
  }
  for (int i = 0; i < vm_count; ++i) {
    made->vms.push_back(vm_reading(i, {std::chrono::seconds(1001)}));
    for (const DeviceReading& device : made->devices) {
      made->block_io.push_back(io_reading(made->vms.back(), device.id, made->boot_time, tick));
    }
  }
  return made;
}

// ---- the outlets -------------------------------------------------------------------------------

class Folder {
 public:
  Folder() {
    std::string pattern = std::filesystem::temp_directory_path() / "hvguard-tick-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
    fd_ = DirFd::open(path_).value();
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  std::string path_;
  DirFd fd_;
};

// Reads and throws away.
void drain(int fd) {
  std::string buffer(publish::kMaxPacketBytes, '\0');
  while (::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT) > 0) {
  }
}

class SocketPair {
 public:
  explicit SocketPair(int type) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) != 0) {
      die("no sockets");
    }
    ours_ = UniqueFd(ends[0]);
    other_ = UniqueFd(ends[1]);
    const int room = 4 * static_cast<int>(publish::kMaxPacketBytes);  // as core.sock has it
    ::setsockopt(ours_.get(), SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
  }
  // What finds no room is lost, as in hvguardd; it costs the same.
  void send(const std::string& bytes) const {
    static_cast<void>(::send(ours_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) < 0);
  }
  void drain_other() const { drain(other_.get()); }

 private:
  UniqueFd ours_;
  UniqueFd other_;
};

// The publisher of hvguardd with a journal and one subscriber.
class Outlets {
 public:
  explicit Outlets(const Folder& folder) {
    const std::string journal = folder.path() + "/journal";
    const std::string core = folder.path() + "/core.sock";
    const auto journal_address = address_of(journal);
    const auto core_address = address_of(core);
    ::unlink(journal.c_str());
    journal_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (::bind(journal_.get(),
               reinterpret_cast<const sockaddr*>(&journal_address),
               sizeof(journal_address)) != 0 ||
        sd_event_new(&event_) < 0) {
      die("no journal or no loop");
    }
    publisher_ = std::make_unique<guard::Publisher>(
        guard::Audit(publish::Journal::open(journal).value(), false),
        publish::CoreServer::listen(event_, {.path = core}).value(),
        publish::StateFile(folder.fd(), "state.pb"),
        "11111111-2222-3333-4444-555555555555",
        1);
    subscriber_ = UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    v1::CoreRequest request;
    request.set_protocol_version(1);
    request.mutable_subscribe_frames();
    const std::string bytes = request.SerializeAsString();
    if (::connect(subscriber_.get(),
                  reinterpret_cast<const sockaddr*>(&core_address),
                  sizeof(core_address)) != 0 ||
        ::send(subscriber_.get(), bytes.data(), bytes.size(), 0) < 0) {
      die("core.sock does not answer");
    }
    run_loop();
  }
  ~Outlets() {
    publisher_.reset();
    sd_event_unref(event_);
  }
  Outlets(const Outlets&) = delete;
  Outlets& operator=(const Outlets&) = delete;

  void publish(const TickResult& result) {
    publisher_->publish(result, true, guard::HandlerTimes{}, boot_time_now());
  }
  void read_all() {
    for (int i = 0; i < 8; ++i) {  // what did not fit at once follows when the loop runs
      drain(journal_.get());
      drain(subscriber_.get());
      run_loop();
    }
  }

 private:
  void run_loop() {
    while (sd_event_run(event_, 0) > 0) {
    }
  }

  UniqueFd journal_;
  UniqueFd subscriber_;
  sd_event* event_ = nullptr;
  std::unique_ptr<guard::Publisher> publisher_;
};

// ---- the turns ---------------------------------------------------------------------------------

void arrival(benchmark::State& state) {
  const Folder folder;
  const auto before = snapshot(1, 0);
  const auto after = snapshot(2, kVmCount);
  for (auto _ : state) {
    state.PauseTiming();
    {
      Pipeline pipeline{Config()};
      Outlets outlets(folder);
      outlets.publish(pipeline.step(before));
      outlets.read_all();
      state.ResumeTiming();
      outlets.publish(pipeline.step(after));
      state.PauseTiming();
    }
    state.ResumeTiming();
  }
}

void turns(benchmark::State& state, int vm_count) {
  const Folder folder;
  Pipeline pipeline{Config()};
  Outlets outlets(folder);
  std::uint64_t tick = 0;
  for (auto _ : state) {
    state.PauseTiming();
    outlets.read_all();
    const auto next = snapshot(++tick, vm_count);
    state.ResumeTiming();
    outlets.publish(pipeline.step(next));
  }
}

void steady(benchmark::State& state) {
  turns(state, kVmCount);
}

void empty(benchmark::State& state) {
  turns(state, 0);
}

// ---- the parts of an arrival -------------------------------------------------------------------

TickResult arrival_result() {
  Pipeline pipeline{Config()};
  benchmark::DoNotOptimize(pipeline.step(snapshot(1, 0)));
  return pipeline.step(snapshot(2, kVmCount));
}

void step(benchmark::State& state) {
  const auto before = snapshot(1, 0);
  const auto after = snapshot(2, kVmCount);
  for (auto _ : state) {
    state.PauseTiming();
    {
      Pipeline pipeline{Config()};
      benchmark::DoNotOptimize(pipeline.step(before));
      state.ResumeTiming();
      const auto result = pipeline.step(after);
      state.PauseTiming();
    }
    state.ResumeTiming();
  }
}

// The same when nothing happens: all VMs are known and busy.
void steady_step(benchmark::State& state) {
  Pipeline pipeline{Config()};
  std::uint64_t tick = 0;
  for (auto _ : state) {
    state.PauseTiming();
    const auto next = snapshot(++tick, kVmCount);
    state.ResumeTiming();
    benchmark::DoNotOptimize(pipeline.step(next));
  }
}

void content(benchmark::State& state) {
  const TickResult result = arrival_result();
  for (auto _ : state) {
    benchmark::DoNotOptimize(publish::frame_content(result, {}, 1, {}));
  }
}

void encode(benchmark::State& state) {
  const TickResult result = arrival_result();
  for (auto _ : state) {
    state.PauseTiming();
    auto made = publish::frame_content(result, {}, 1, {});
    state.ResumeTiming();
    benchmark::DoNotOptimize(publish::encode_frame(std::move(made)));
  }
}

std::vector<std::string> audit_records(const TickResult& result) {
  std::vector<std::string> records;
  for (const IncidentChange& change : result.changes) {
    records.push_back(publish::encode_audit(publish::audit_record(change)));
  }
  return records;
}

void audit_text(benchmark::State& state) {
  const TickResult result = arrival_result();
  for (auto _ : state) {
    benchmark::DoNotOptimize(audit_records(result));
  }
}

void saved_state(benchmark::State& state) {
  const TickResult result = arrival_result();
  const Folder folder;
  for (auto _ : state) {
    publish::StateFile file(folder.fd(), "state.pb");
    benchmark::DoNotOptimize(file.store(publish::save_state(result.incidents, "boot", 1)));
  }
}

void sending(benchmark::State& state) {
  const TickResult result = arrival_result();
  const auto records = audit_records(result);
  const auto frame = publish::encode_frame(publish::frame_content(result, {}, 1, {}));
  const SocketPair journal(SOCK_DGRAM);
  const SocketPair subscriber(SOCK_SEQPACKET);
  for (auto _ : state) {
    for (const std::string& record : records) {
      journal.send(record);
    }
    for (const std::string& packet : frame->packets) {
      subscriber.send(packet);
    }
    state.PauseTiming();
    journal.drain_other();
    subscriber.drain_other();
    state.ResumeTiming();
  }
}

// ---- the result --------------------------------------------------------------------------------

class RatioReporter : public benchmark::ConsoleReporter {
 public:
  RatioReporter() : ConsoleReporter(OO_None) {}
  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) {
      if (run.run_type == Run::RT_Iteration && !run.error_occurred) {
        // With repetitions: the best one, as least disturbed by others on the machine.
        double& best = cpu_[run.run_name.function_name];
        const double time = run.GetAdjustedCPUTime();
        best = best == 0 ? time : std::min(best, time);
      }
    }
  }
  void print_ratios() const {
    const auto peer = cpu_.find("sending");
    for (const auto& [name, time] : cpu_) {
      if (peer != cpu_.end() && peer->second > 0) {
        fmt::print("{} costs {:.2f} times the sending\n", name, time / peer->second);
      }
    }
  }

 private:
  std::map<std::string, double> cpu_;
};

void run_all() {
  using Function = void (*)(benchmark::State&);
  const std::array<std::pair<const char*, Function>, 10> all = {{
      {"arrival", arrival},
      {"steady", steady},
      {"empty", empty},
      {"step", step},
      {"steady_step", steady_step},
      {"content", content},
      {"encode", encode},
      {"audit_text", audit_text},
      {"saved_state", saved_state},
      {"sending", sending},
  }};
  for (const auto& [name, function] : all) {
    benchmark::RegisterBenchmark(name, function)->Unit(benchmark::kMicrosecond);
  }
  RatioReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  reporter.print_ratios();
}

}  // namespace
}  // namespace hvguard

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  hvguard::run_all();
  return 0;
}
