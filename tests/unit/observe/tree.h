// A tree of files in a temporary directory, to stand in for /proc, /sys and cgroup v2; removed with
// the object. Names are relative to its root.
#pragma once

#include <string>
#include <string_view>

#include "base/ids.h"

namespace hvguard::observe::test {

class Tree {
 public:
  Tree();
  ~Tree();
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  [[nodiscard]] const std::string& root() const { return root_; }
  [[nodiscard]] std::string path(std::string_view name) const;
  // Makes the directories on the way.
  void file(std::string_view name, std::string_view content) const;
  void directory(std::string_view name) const;
  void link(std::string_view name, std::string_view target) const;
  void remove(std::string_view name) const;

  // What a HostRoot needs, and host files with plausible content; v2 mounted at cgroup/.
  void add_host() const;
  // A process of one thread: status, comm, stat, cmdline, cgroup, exe.
  struct Process {
    Pid pid = 0;
    std::string comm = "sleep";
    char state = 'S';
    std::string executable = "/usr/bin/sleep";
    std::string command_line = {};  // NUL after each word
    std::string cgroup = "/";
    std::uint64_t start_ticks = 1000;
    bool kernel_thread = false;
  };
  void add_process(const Process& process) const;
  // A cgroup directory with all controllers' files; `procs` is cgroup.procs.
  void add_cgroup(std::string_view path,
                  std::string_view procs,
                  std::string_view controllers = "cpuset cpu io memory pids\n") const;

 private:
  std::string root_;
};

// "a b" with NUL after each word.
[[nodiscard]] std::string words(std::string_view blank_separated);

}  // namespace hvguard::observe::test
