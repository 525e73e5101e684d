// Cost of looking at every task of the host, in CPU time of the reader: our pass, a BPF iterator
// that only looks at the state, and a careful reader of /proc/PID/task/TID/status (kept directory
// fd, openat, one buffer; `status` alone never blocks). Same run, same tasks: the ratio is the
// result. Child processes with 100 sleeping threads each make the 10,000 and 30,000 tasks. Run as
// root.
#include <benchmark/benchmark.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/parse.h"
#include "bpf_peers.skel.h"
#include "observe/ebpf/tasks.h"

namespace {

using hvguard::UniqueFd;

constexpr int kThreadsPerProcess = 100;

void* sleep_for_ever(void* /*unused*/) {
  for (;;) {
    ::pause();
  }
}

// Sleeping threads in child processes; gone with this object and with this process.
class Sleepers {
 public:
  explicit Sleepers(std::int64_t threads) {
    for (std::int64_t made = 0; made < threads; made += kThreadsPerProcess) {
      if (!add_process()) {
        return;
      }
      count_ += kThreadsPerProcess;
    }
  }
  Sleepers(const Sleepers&) = delete;
  Sleepers& operator=(const Sleepers&) = delete;
  ~Sleepers() {
    for (const pid_t child : children_) {
      ::kill(child, SIGKILL);
    }
    for (const pid_t child : children_) {
      ::waitpid(child, nullptr, 0);
    }
  }
  [[nodiscard]] std::int64_t count() const { return count_; }

 private:
  bool add_process() {
    std::array<int, 2> ready{};
    if (::pipe2(ready.data(), O_CLOEXEC) != 0) {
      return false;
    }
    const UniqueFd read_end(ready[0]);
    UniqueFd write_end(ready[1]);
    const pid_t child = ::fork();
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      become_sleepers(write_end.get());
    }
    write_end.reset();
    if (child < 0) {
      return false;
    }
    children_.push_back(child);
    char byte = 0;
    return ::read(read_end.get(), &byte, 1) == 1;
  }

  [[noreturn]] static void become_sleepers(int ready) {
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setstacksize(&attributes, 64 << 10);
    for (int i = 1; i < kThreadsPerProcess; ++i) {
      pthread_t thread{};
      if (::pthread_create(&thread, &attributes, sleep_for_ever, nullptr) != 0) {
        ::_exit(1);
      }
    }
    if (::write(ready, "x", 1) != 1) {
      ::_exit(1);
    }
    sleep_for_ever(nullptr);
    ::_exit(0);
  }

  std::vector<pid_t> children_;
  std::int64_t count_ = 0;
};

// One set of sleepers for all benchmarks of a size.
const Sleepers& sleepers(std::int64_t threads) {
  static std::unique_ptr<Sleepers> current;
  static std::int64_t current_size = 0;
  if (current_size != threads) {
    current.reset();
    current = std::make_unique<Sleepers>(threads);
    current_size = threads;
  }
  return *current;
}

bool prepare(benchmark::State& state) {
  if (sleepers(state.range(0)).count() < state.range(0)) {
    state.SkipWithError("cannot make that many threads (root? pid_max? pids.max?)");
    return false;
  }
  return true;
}

void task_pass(benchmark::State& state) {
  auto reader = hvguard::observe::BlockedTaskReader::open(hvguard::observe::probe_bpf("/"));
  if (!reader) {
    state.SkipWithError(reader.error().message.c_str());
    return;
  }
  if (!prepare(state)) {
    return;
  }
  std::uint64_t seen = 0;
  for (auto _ : state) {
    const auto pass = reader->pass();
    seen = pass ? pass->seen_count : 0;
  }
  state.counters["tasks"] = static_cast<double>(seen);
}

void bare_iterator(benchmark::State& state) {
  const std::unique_ptr<bpf_peers_bpf, void (*)(bpf_peers_bpf*)> object(
      bpf_peers_bpf__open_and_load(), bpf_peers_bpf__destroy);
  if (!object) {
    state.SkipWithError("the peer's BPF object does not load");
    return;
  }
  const std::unique_ptr<bpf_link, int (*)(bpf_link*)> link(
      bpf_program__attach_iter(object->progs.bare_iterator, nullptr), bpf_link__destroy);
  if (!link || !prepare(state)) {
    return;
  }
  std::array<char, 65536> buffer{};
  for (auto _ : state) {
    const UniqueFd iterator(::bpf_iter_create(bpf_link__fd(link.get())));
    while (::read(iterator.get(), buffer.data(), buffer.size()) > 0) {
    }
  }
}

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};
using Listing = std::unique_ptr<DIR, CloseDir>;

bool is_number(const char* name) {
  return name[0] >= '1' && name[0] <= '9';
}

// State and both switch counts of one thread: what a fallback without BPF needs.
struct ThreadStatus {
  bool blocked = false;
  std::uint64_t switches = 0;
};

ThreadStatus parse_status(std::string_view text) {
  ThreadStatus status;
  while (!text.empty()) {
    std::string_view line = hvguard::next_field(text, '\n');
    const std::string_view name = hvguard::next_field(line, ':');
    if (name == "State") {
      status.blocked = hvguard::next_word(line) == "D";
    } else if (name == "voluntary_ctxt_switches" || name == "nonvoluntary_ctxt_switches") {
      status.switches += hvguard::parse_number<std::uint64_t>(hvguard::next_word(line)).value_or(0);
    }
  }
  return status;
}

std::uint64_t read_threads(int proc, const char* process, std::array<char, 4096>& buffer) {
  const std::string path = fmt::format("{}/task", process);
  const int fd = ::openat(proc, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const Listing threads(fd >= 0 ? ::fdopendir(fd) : nullptr);
  std::uint64_t blocked = 0;
  while (const dirent* entry = threads ? ::readdir(threads.get()) : nullptr) {
    if (!is_number(entry->d_name)) {
      continue;
    }
    const std::string status_path = std::string(entry->d_name) + "/status";
    const UniqueFd file(::openat(fd, status_path.c_str(), O_RDONLY | O_CLOEXEC));
    const ssize_t length = ::read(file.get(), buffer.data(), buffer.size());
    if (length > 0) {
      const ThreadStatus status = parse_status({buffer.data(), static_cast<std::size_t>(length)});
      benchmark::DoNotOptimize(status.switches);
      blocked += status.blocked ? 1 : 0;
    }
  }
  return blocked;
}

void proc_status(benchmark::State& state) {
  if (!prepare(state)) {
    return;
  }
  const Listing proc(::opendir("/proc"));
  std::array<char, 4096> buffer{};
  for (auto _ : state) {
    ::rewinddir(proc.get());
    std::uint64_t blocked = 0;
    while (const dirent* entry = ::readdir(proc.get())) {
      if (is_number(entry->d_name)) {
        blocked += read_threads(::dirfd(proc.get()), entry->d_name, buffer);
      }
    }
    benchmark::DoNotOptimize(blocked);
  }
}

// Keeps the CPU time of each run so that the ratios can be told at the end.
class RatioReporter : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) {
      if (!run.error_occurred) {
        const std::string& name = run.run_name.function_name;
        // With repetitions: the best one, as least disturbed by others on the machine.
        double& best = cpu_[run.run_name.args][name];
        const double time = run.GetAdjustedCPUTime();
        best = best == 0 ? time : std::min(best, time);
      }
    }
  }
  void print_ratios() const {
    for (const auto& [size, times] : cpu_) {
      const auto pass = times.find("task_pass");
      if (pass == times.end() || pass->second <= 0) {
        continue;
      }
      for (const auto& [name, time] : times) {
        fmt::print(
            "{} threads: {} costs {:.2f} times our task pass\n", size, name, time / pass->second);
      }
    }
  }

 private:
  std::map<std::string, std::map<std::string, double>> cpu_;
};

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  for (const std::int64_t threads : {10'000, 30'000}) {
    using Function = void (*)(benchmark::State&);
    const std::array<std::pair<const char*, Function>, 3> all = {{
        {"task_pass", task_pass},
        {"bare_iterator", bare_iterator},
        {"proc_status", proc_status},
    }};
    for (const auto& [name, function] : all) {
      benchmark::RegisterBenchmark(name, function)->Arg(threads)->Unit(benchmark::kMillisecond);
    }
  }
  RatioReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  reporter.print_ratios();
  return 0;
}
