#include "observe/process_scan.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/parse.h"

namespace hvguard::observe {
namespace {

constexpr std::size_t kCommBytes = 15;  // TASK_COMM_LEN without the NUL
constexpr std::uint8_t kLightReads = 3;

}  // namespace

bool matches_comm(std::string_view glob, std::string_view comm) {
  if (comm.size() < kCommBytes) {
    return glob_match(glob, comm);
  }
  // Whether what is left of the glob can match more characters: any start of the glob that ends
  // within it and matches all of comm will do.
  for (std::size_t length = 0; length <= glob.size(); ++length) {
    if (glob_match(glob.substr(0, length), comm)) {
      return true;
    }
  }
  return false;
}

bool matches_any_comm(const std::vector<std::string>& globs, std::string_view comm) {
  return std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) {
    return matches_comm(glob, comm);
  });
}

bool matches_any(const std::vector<std::string>& globs, std::string_view name) {
  return std::any_of(
      globs.begin(), globs.end(), [&](const std::string& glob) { return glob_match(glob, name); });
}

Result<std::string> read_comm(const HostRoot& root, Pid pid) {
  std::array<char, 256> buffer;
  const auto text = read_file_at(root.proc(), std::to_string(pid) + "/comm", buffer);
  if (!text) {
    return fail(text.error());
  }
  auto comm = *text;
  comm.remove_suffix(comm.ends_with('\n') ? 1 : 0);
  return std::string(comm);
}

Result<ProcessScan> ProcessScanner::scan(const HostRoot& root,
                                         const std::vector<std::string>& globs,
                                         Depth depth) {
  const auto processes = list_numeric(root.proc(), kMaxProcesses);
  if (!processes) {
    return fail(processes.error());
  }
  ProcessScan scan;
  scan.truncated = processes->truncated;
  std::unordered_map<Pid, std::uint8_t> times_read;
  times_read.reserve(processes->ids.size());
  for (const Pid pid : processes->ids) {
    const auto known = times_read_.find(pid);
    const std::uint8_t times =
        depth == Depth::kFull || known == times_read_.end() ? std::uint8_t{0} : known->second;
    times_read.emplace(pid, std::min<std::uint8_t>(times + 1, kLightReads));
    if (times == kLightReads) {
      continue;
    }
    const auto comm = read_comm(root, pid);
    if (comm && matches_any_comm(globs, *comm)) {
      scan.matches.push_back({pid, *comm});
    }
  }
  times_read_ = std::move(times_read);
  return scan;
}

}  // namespace hvguard::observe
