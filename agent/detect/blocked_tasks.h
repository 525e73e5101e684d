// Our own clock of blocked tasks: since when each one has been in its present wait. Pure; called
// once per tick, shared by hung_task and panic_forecast.
//
// khungtaskd is blind to waits that wake themselves every half hung_task_timeout_secs
// (submit_bio_wait, blk_io_schedule, blk_wait_io), so that a sync O_DIRECT reader on a dead disk
// is never reported (facts: block/bio.c, block/blk-core.c). Here such a wake does not end the wait
// while the stack stays the same and the switch count moves no faster than that; a task that does
// real IO in the same function moves faster.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "detect/stack_cause.h"
#include "model/facts.h"
#include "model/snapshot.h"

namespace hvguard {

// What is remembered of one task between passes.
struct BlockedTaskHistory {
  TaskId id;
  Pid tgid = 0;
  BootTime since;  // of the wait
  BlockedClass blocked_class = BlockedClass::kUnknown;
  std::uint64_t switch_count = 0;
  BootTime last_wake;            // when the switch count last moved, as far as known; else since
  Nanoseconds wake_interval{0};  // of self-waking waits, as it was when the wait began
  std::uint64_t fingerprint = 0;
  StackCause cause;
  std::uint64_t wait_number = 0;  // unique per wait
  std::uint64_t pass = 0;         // last pass that saw it
};

struct BlockedTasksState {
  std::unordered_map<Pid, BlockedTaskHistory> tasks;  // at most kMaxBlockedTasks
  std::uint64_t pass = 0;
  std::uint64_t next_wait_number = 1;
};

// One blocked task of this Snapshot, whatever its class.
struct TrackedTask {
  const BlockedTask* task = nullptr;  // into the Snapshot
  std::optional<VmId> vm;
  // Its class; one that /proc cannot tell keeps what BPF said of the same wait.
  BlockedClass blocked_class = BlockedClass::kUnknown;
  BootTime since;
  BootTime last_wake;
  StackCause cause;
  std::uint64_t fingerprint = 0;
  std::uint64_t wait_number = 0;

  // Hard D, or D of a class that is not known.
  [[nodiscard]] bool counts() const {
    return blocked_class == BlockedClass::kHard || blocked_class == BlockedClass::kUnknown;
  }
};

// In the order of snapshot.tasks->blocked. Without a task pass: empty, and the state stays.
[[nodiscard]] std::vector<TrackedTask> track_blocked_tasks(BlockedTasksState& state,
                                                           const Snapshot& snapshot,
                                                           const Facts& facts);

}  // namespace hvguard
