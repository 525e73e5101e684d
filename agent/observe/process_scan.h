// The /proc way to find VM managers: names of processes against the configured executables.
// Sampler thread; the fallback of eBPF's scan and exec events.
// Reads `comm` alone, which blocks on nothing; it is cut at 15 bytes and can be changed by its
// owner, so a match makes a candidate that the probe confirms by the executable.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "observe/host_root.h"

namespace hvguard::observe {

inline constexpr std::size_t kMaxProcesses = 131072;

// Does the glob match the name, or, if the name has the 15 bytes at which the kernel cuts it, any
// longer name that begins so? Time is bounded by the product of the lengths.
[[nodiscard]] bool matches_comm(std::string_view glob, std::string_view comm);
[[nodiscard]] bool matches_any_comm(const std::vector<std::string>& globs, std::string_view comm);
[[nodiscard]] bool matches_any(const std::vector<std::string>& globs, std::string_view name);

// comm of a process, raw; kGone if there is no such process.
[[nodiscard]] Result<std::string> read_comm(const HostRoot& root, Pid pid);

struct ProcessMatch {
  Pid pid = 0;
  std::string comm;
};
struct ProcessScan {
  std::vector<ProcessMatch> matches;
  bool truncated = false;
};

// A full scan reads the name of every process. A light one reads only those of processes that are
// new, a few times each since a new process has its parent's name until it calls exec.
class ProcessScanner {
 public:
  enum class Depth { kFull, kLight };
  [[nodiscard]] Result<ProcessScan> scan(const HostRoot& root,
                                         const std::vector<std::string>& globs,
                                         Depth depth);

 private:
  std::unordered_map<Pid, std::uint8_t> times_read_;
};

}  // namespace hvguard::observe
