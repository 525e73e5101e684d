// Cost of the block-IO probes per IO, as the kernel accounts for it (BPF_ENABLE_STATS), while
// direct 4 KiB reads run on a loop device over tmpfs: ours in its three ways of finding an owner,
// an issue/complete pair with a hash of start times as biolatency works, an empty pair as the floor
// of the instrument, and Debian's biolatency and biotop (package libbpf-tools) where they are
// installed. Run as root. Argument: number of IOs per measurement, 200000 by default.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/parse.h"
#include "bpf_peers.skel.h"
#include "io_load.h"
#include "lab.h"
#include "observe/ebpf/block_io.h"
#include "observe/ebpf/support.h"

namespace {

using namespace hvguard;

constexpr int kThreads = 4;
constexpr int kBlocksPerRun = 256;  // a mebibyte: each thread reads its own again and again

struct Cost {
  std::uint64_t runs = 0;
  std::uint64_t nanoseconds = 0;
};

// All loaded programs of the system by id; those of a measurement are found by what is new.
std::map<std::uint32_t, Cost> program_costs() {
  std::map<std::uint32_t, Cost> costs;
  std::uint32_t id = 0;
  while (::bpf_prog_get_next_id(id, &id) == 0) {
    const UniqueFd fd(::bpf_prog_get_fd_by_id(id));
    bpf_prog_info info{};
    std::uint32_t size = sizeof(info);
    if (fd.valid() && ::bpf_obj_get_info_by_fd(fd.get(), &info, &size) == 0) {
      costs[id] = {info.run_cnt, info.run_time_ns};
    }
  }
  return costs;
}

class Load {
 public:
  Load(std::string device, int operations)
      : device_(std::move(device)), rounds_(operations / (kThreads * kBlocksPerRun)) {}

  // Starts with `prepare(pid)` done and waits for the end.
  void run(const std::function<void(pid_t)>& prepare) const {
    const lab::SharedMemory shared;
    lab::Process reader([&] {
      while (lab::load(shared->go) == 0) {
        ::usleep(1000);
      }
      for (int round = 0; round < rounds_; ++round) {
        lab::threaded_io(device_, lab::Direction::kRead, kThreads, kBlocksPerRun);
      }
    });
    prepare(reader.pid());
    lab::store(shared->go, 1);
    if (reader.wait(std::chrono::minutes(5)) != 0) {
      fmt::print(stderr, "the load failed\n");
      std::exit(1);
    }
  }
  [[nodiscard]] int operations() const { return rounds_ * kThreads * kBlocksPerRun; }

 private:
  std::string device_;
  int rounds_;
};

// Nanoseconds and program runs per IO of the given programs.
struct PerIo {
  double runs = 0;
  double nanoseconds = 0;
};

PerIo measure(const Load& load,
              const std::set<std::uint32_t>& programs,
              const std::function<void(pid_t)>& prepare) {
  const auto start = program_costs();
  load.run(prepare);
  const auto end = program_costs();
  PerIo result;
  for (const auto& [id, cost] : end) {
    if (!programs.contains(id)) {
      continue;
    }
    const auto earlier = start.find(id);
    const Cost base = earlier == start.end() ? Cost{} : earlier->second;
    result.runs += static_cast<double>(cost.runs - base.runs) / load.operations();
    result.nanoseconds +=
        static_cast<double>(cost.nanoseconds - base.nanoseconds) / load.operations();
  }
  return result;
}

std::set<std::uint32_t> loaded_programs() {
  std::set<std::uint32_t> ids;
  for (const auto& [id, cost] : program_costs()) {
    ids.insert(id);
  }
  return ids;
}

void nothing(pid_t /*unused*/) {}

std::set<std::uint32_t> ids_of(const std::vector<observe::BpfProgramStatistics>& programs) {
  std::set<std::uint32_t> ids;
  for (const auto& program : programs) {
    ids.insert(program.id);
  }
  return ids;
}

PerIo measure_ours(const Load& load, std::optional<IoAttribution> how) {
  auto support = observe::probe_bpf("/");
  const char* const root = support.io_on_cgroup2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/blkio";
  support.io_on_cgroup2 = true;  // the id of a v1 cgroup is as good for the cost
  auto reader = observe::BlockIoReader::open(support);
  if (!reader) {
    fmt::print(stderr, "{}\n", reader.error().message);
    std::exit(1);
  }
  struct stat status{};
  ::stat(root, &status);
  const std::vector<CgroupId> cgroups = {CgroupId{status.st_ino}};
  const PerIo cost = measure(load, ids_of(reader->statistics()), [&](pid_t pid) {
    if (how) {
      const VmId vm{pid, lab::start_time(pid), CgroupId{1}};
      if (!reader->set_vm(vm, *how, cgroups)) {
        std::exit(1);
      }
    }
  });
  for (const auto& program : reader->statistics()) {
    if (program.run_count > 0) {
      fmt::print(
          "  {:<42} {:>5} {:>8.0f}\n",
          program.name,
          "",
          static_cast<double>(program.run_nanoseconds) / static_cast<double>(program.run_count));
    }
  }
  return cost;
}

PerIo measure_peer(const Load& load, bool pair) {
  const std::unique_ptr<bpf_peers_bpf, void (*)(bpf_peers_bpf*)> object(
      bpf_peers_bpf__open_and_load(), bpf_peers_bpf__destroy);
  if (!object) {
    std::exit(1);
  }
  const auto attach = [](const bpf_program* program) {
    return std::unique_ptr<bpf_link, int (*)(bpf_link*)>(bpf_program__attach(program),
                                                         bpf_link__destroy);
  };
  const auto issue = attach(pair ? object->progs.pair_issue : object->progs.empty_issue);
  const auto complete = attach(pair ? object->progs.pair_complete : object->progs.empty_complete);
  return measure(load, ids_of(observe::program_statistics(object->obj)), nothing);
}

std::optional<PerIo> measure_tool(const Load& load, const std::vector<std::string>& command) {
  if (::access(command.front().c_str(), X_OK) != 0) {
    return std::nullopt;
  }
  const auto before = loaded_programs();
  lab::Process tool([&] {
    const int null = ::open("/dev/null", O_RDWR);
    ::dup2(null, STDOUT_FILENO);
    ::dup2(null, STDERR_FILENO);
    std::vector<char*> arguments;
    for (const std::string& word : command) {
      arguments.push_back(const_cast<char*>(word.c_str()));
    }
    arguments.push_back(nullptr);
    ::execv(arguments.front(), arguments.data());
  });
  // Ready when its programs are there and no more come. Others' that come meanwhile count as its.
  std::set<std::uint32_t> programs;
  int unchanged = 0;
  const bool ready = lab::wait_for([&] {
    std::set<std::uint32_t> now = loaded_programs();
    std::erase_if(now, [&](std::uint32_t id) { return before.contains(id); });
    unchanged = !now.empty() && now == programs ? unchanged + 1 : 0;
    programs = std::move(now);
    return unchanged > 20;
  });
  if (!ready) {
    return std::nullopt;
  }
  const PerIo cost = measure(load, programs, nothing);
  // Without an issue and a completion seen per IO it has not attached (it may need kprobes).
  return cost.runs > 1.5 ? std::optional(cost) : std::nullopt;
}

void print(const char* name, const PerIo& cost, const PerIo& floor, double reference) {
  // What the clock readings around each program run cost themselves.
  const double net = cost.nanoseconds - floor.nanoseconds / floor.runs * cost.runs;
  fmt::print("{:<44} {:>5.2f} {:>8.0f} {:>8.0f}  {}\n",
             name,
             cost.runs,
             cost.nanoseconds,
             net,
             reference > 0 ? fmt::format("{:.2f}", cost.nanoseconds / reference) : "");
}

}  // namespace

int main(int argc, char** argv) {
  const int operations =
      argc > 1 ? parse_number<int>(std::string_view(argv[1])).value_or(0) : 200'000;
  if (operations < kThreads * kBlocksPerRun) {
    fmt::print(stderr, "usage: bpf_block_io_bench [IOs, {} or more]\n", kThreads * kBlocksPerRun);
    return 2;
  }
  const UniqueFd statistics(::bpf_enable_stats(BPF_STATS_RUN_TIME));
  if (!statistics.valid()) {
    fmt::print(stderr, "cannot enable BPF run-time statistics (root?)\n");
    return 1;
  }
  const lab::Directory directory;
  const lab::LoopDevice device(lab::make_file(directory.path() + "/disk.img", 64ULL << 20U));
  const Load load(device.path(), operations);
  load.run(nothing);  // pages of the file, once

  const PerIo floor = measure_peer(load, false);
  const PerIo pair = measure_peer(load, true);
  fmt::print("{} direct reads of 4 KiB on a loop device over tmpfs, {} threads\n",
             load.operations(),
             kThreads);
  fmt::print("{:<44} {:>5} {:>8} {:>8}  {}\n", "", "runs", "ns", "net ns", "of the pair");
  print("empty issue and complete", floor, floor, 0);
  print("ours, VM known by its cgroup",
        measure_ours(load, IoAttribution::kCgroup),
        floor,
        pair.nanoseconds);
  print("ours, VM known by its process",
        measure_ours(load, IoAttribution::kSubmitter),
        floor,
        pair.nanoseconds);
  print("ours, IO of no VM", measure_ours(load, std::nullopt), floor, pair.nanoseconds);
  print("issue/complete pair with a hash", pair, floor, pair.nanoseconds);
  for (const auto& [name, command] :
       {std::pair<const char*, std::vector<std::string>>{"biolatency -D (libbpf-tools)",
                                                         {"/usr/sbin/biolatency", "-D", "600"}},
        {"biotop (libbpf-tools)", {"/usr/sbin/biotop", "-C", "600"}}}) {
    if (const auto cost = measure_tool(load, command)) {
      print(name, *cost, floor, pair.nanoseconds);
    } else {
      fmt::print("{:<44} does not run here\n", name);
    }
  }
  return 0;
}
