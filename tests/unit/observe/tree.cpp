#include "tree.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <fmt/format.h>

namespace hvguard::observe::test {

namespace fs = std::filesystem;

Tree::Tree() {
  std::string name = (fs::temp_directory_path() / "hvguard-tree-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    throw std::runtime_error("no temporary directory");
  }
  root_ = name;
}

Tree::~Tree() {
  std::error_code ignored;
  fs::remove_all(root_, ignored);
}

std::string Tree::path(std::string_view name) const {
  return root_ + "/" + std::string(name);
}

void Tree::file(std::string_view name, std::string_view content) const {
  fs::create_directories(fs::path(path(name)).parent_path());
  std::ofstream out(path(name), std::ios::binary | std::ios::trunc);
  out << content;
  if (!out.flush()) {
    throw std::runtime_error("cannot write " + path(name));
  }
}

void Tree::directory(std::string_view name) const {
  fs::create_directories(path(name));
}

void Tree::link(std::string_view name, std::string_view target) const {
  fs::create_directories(fs::path(path(name)).parent_path());
  fs::create_symlink(target, path(name));
}

void Tree::remove(std::string_view name) const {
  fs::remove_all(path(name));
}

void Tree::add_host() const {
  file("proc/self/mountinfo",
       "25 1 0:22 / /proc rw - proc proc rw\n"
       "31 23 0:28 / /cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
  file("proc/self/status",
       "Name:\tx\nState:\tR (running)\nTgid:\t9\nPid:\t9\nVmRSS:\t 2048 kB\nThreads:\t3\n");
  file("proc/sys/kernel/random/boot_id", "f2b9a4a6-5b0e-4f6b-9f6a-0d6c7d8b9e01\n");
  file("proc/sys/kernel/hostname", "hv\x1b[1m7\n");
  file("proc/sys/kernel/osrelease", "6.1.0-56-amd64\n");
  for (const char* const name : {"cpu", "memory", "io"}) {
    file(fmt::format("proc/pressure/{}", name),
         "some avg10=1.50 avg60=0.10 avg300=0.00 total=123\n"
         "full avg10=0.50 avg60=0.00 avg300=0.00 total=45\n");
  }
  file("proc/vmstat",
       "pswpin 1\npswpout 2\npgmajfault 3\noom_kill 4\n"
       "workingset_refault_anon 5\nworkingset_refault_file 6\n");
  file("proc/meminfo",
       "MemTotal:       24669096 kB\nMemFree:        1 kB\n"
       "MemAvailable:   1024 kB\nSwapTotal:      0 kB\nSwapFree:       0 kB\n"
       "Dirty:          8 kB\nWriteback:      4 kB\n");
  file("proc/loadavg", "0.52 0.58 0.59 2/345 4711\n");
  file("proc/diskstats", "");
  for (const auto& [name, value] : {std::pair("hung_task_timeout_secs", "120"),
                                    std::pair("hung_task_check_interval_secs", "0"),
                                    std::pair("hung_task_check_count", "4194304"),
                                    std::pair("hung_task_warnings", "-1"),
                                    std::pair("hung_task_panic", "1"),
                                    std::pair("panic", "-5")}) {
    file(fmt::format("proc/sys/kernel/{}", name), fmt::format("{}\n", value));
  }
  directory("sys/block");
  directory("cgroup");
}

void Tree::add_process(const Process& process) const {
  const std::string dir = fmt::format("proc/{}/", process.pid);
  file(dir + "comm", process.comm + "\n");
  file(dir + "status",
       fmt::format("Name:\t{}\nState:\t{} (x)\nTgid:\t{}\nPid:\t{}\n{}Threads:\t1\n"
                   "voluntary_ctxt_switches:\t40\nnonvoluntary_ctxt_switches:\t2\n",
                   process.comm,
                   process.state,
                   process.pid,
                   process.pid,
                   process.kernel_thread ? "" : "VmSize:\t 100 kB\nVmRSS:\t 50 kB\n"));
  file(dir + "stat",
       fmt::format("{} ({}) {} 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 {} 1 1\n",
                   process.pid,
                   process.comm,
                   process.state,
                   process.start_ticks));
  file(dir + "cmdline", process.command_line);
  file(dir + "cgroup", "1:name=x:/ignored\n0::" + process.cgroup + "\n");
  file(fmt::format("{}task/{}/cgroup", dir, process.pid), "0::" + process.cgroup + "\n");
  directory(dir + "fd");
  link(dir + "exe", process.executable);
}

void Tree::add_cgroup(std::string_view path,
                      std::string_view procs,
                      std::string_view controllers) const {
  const std::string dir = fmt::format("cgroup{}/", path);
  file(dir + "cgroup.procs", procs);
  file(dir + "cgroup.controllers", controllers);
  file(dir + "cpu.stat", "usage_usec 5000\nuser_usec 1\nsystem_usec 2\n");
  file(dir + "memory.current", "1048576\n");
  file(dir + "memory.swap.current", "4096\n");
  file(dir + "memory.high", "max\n");
  file(dir + "memory.max", "2097152\n");
  file(dir + "pids.current", "7\n");
  file(dir + "pids.max", "max\n");
  file(dir + "io.stat", "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n");
  for (const char* const name : {"cpu", "memory", "io"}) {
    file(fmt::format("{}{}.pressure", dir, name),
         "some avg10=0.00 avg60=0.00 avg300=0.00 total=10\n"
         "full avg10=0.00 avg60=0.00 avg300=0.00 total=5\n");
  }
}

std::string words(std::string_view blank_separated) {
  std::string out(blank_separated);
  for (char& c : out) {
    c = c == ' ' ? '\0' : c;
  }
  out += '\0';
  return out;
}

}  // namespace hvguard::observe::test
