// The /proc way to find blocked tasks, for when eBPF cannot: reads PID/task/TID/status of every
// thread (never stat, which waits for exec_update_lock; facts in docs/SUPPORT.md). Sampler thread.
// What it cannot tell: D that khungtaskd counts from D that it does not (killable, frozen), since
// when a task is blocked, its start, its cgroup, its stack. About 7 µs a thread, so the caller
// spaces the passes out.
#pragma once

#include <cstdint>
#include <span>

#include "base/time.h"
#include "model/snapshot.h"
#include "observe/host_root.h"

namespace hvguard::observe {

inline constexpr std::size_t kMaxScannedTasks = 200000;

struct TaskScan {
  TaskPass pass;
  std::uint64_t dropped_count = 0;  // blocked tasks over the bound, or a cut list of processes
};
[[nodiscard]] Result<TaskScan> scan_tasks(const HostRoot& root,
                                          std::span<char> buffer,
                                          BootTime now);

}  // namespace hvguard::observe
