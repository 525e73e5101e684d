// Reads and writes the settings of one cgroup. Writing may block: memory.high reclaims in the
// writer, and io.max waits for a frozen queue on a stuck disk (facts: block/blk-cgroup.c,
// blkcg_activate_policy). So only the helper program hvguard-limits does it, never hvguardd.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/time.h"
#include "enforce/limit_files.h"

namespace hvguard::enforce {

// Reclaim by lowering memory.high is done in steps of this size, no more of them than fit the time.
inline constexpr std::uint64_t kMemoryStepBytes = std::uint64_t{16} << 20;
inline constexpr Nanoseconds kMemoryBudget = std::chrono::milliseconds(200);

// The files of one cgroup; kUnsupported: there is none of that name (its controller is not
// enabled); kGone: the cgroup has vanished.
struct CgroupFiles {
  std::function<Result<std::string>(std::string_view name)> read;
  std::function<Result<>(std::string_view name, std::string_view text)> write;
};

// The directory `path` ("/a/b") below the mount, if it is the one of that id: a cgroup of the same
// name made later is another. The files keep the directory open.
[[nodiscard]] Result<CgroupFiles> open_cgroup(const DirFd& mount,
                                              const std::string& path,
                                              CgroupId id);

// What became of one setting.
struct SettingResult {
  SettingKey key;
  bool known = false;       // `value` was read
  SettingValue value = {};  // in the kernel, afterwards
  bool unfinished = false;  // memory.high was lowered as far as the time allowed: ask again
  std::string error = {};   // why it was not written or not read; empty if fine
};

[[nodiscard]] SettingResult read_setting(const CgroupFiles& files, const SettingKey& key);
// Writes and reads back. memory.max below what is in use is refused: it would kill.
[[nodiscard]] SettingResult write_setting(const CgroupFiles& files, const Setting& setting);

}  // namespace hvguard::enforce
