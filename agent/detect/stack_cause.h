// Why a task sleeps, read from its kernel stack. Pure; called once per task and wait.
// The innermost known function decides; a plain wait for a page, buffer or bio is refined by what
// lies around it (swap-in, a network file system, reclaim). The names are those of Linux 5.15 to
// 7.2; with BPF the scheduler's and the locks' own functions (section .sched.text) are left out by
// the kernel, so that a lock's waiter shows its caller first.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "model/incident.h"

namespace hvguard {

struct StackCause {
  HungTaskCause cause = HungTaskCause::kOther;
  // Sleeps in submit_bio_wait(), blk_io_schedule() or blk_wait_io(), which wake every half
  // hung_task_timeout so that khungtaskd never counts them (block/bio.c, block/blk-core.c).
  bool self_waking = false;
  // Reclaim for a memory cgroup's limit, not for the host.
  bool cgroup_reclaim = false;
};

[[nodiscard]] StackCause classify_stack(std::span<const std::string> stack);

// The same for stacks that differ only in offsets; over the innermost eight functions. 0: no stack.
[[nodiscard]] std::uint64_t stack_fingerprint(std::span<const std::string> stack);

// "jbd2_log_wait_commit" of "jbd2_log_wait_commit+0x93/0x160 [jbd2]" and of
// "jbd2_log_wait_commit.isra.0".
[[nodiscard]] std::string_view function_name(std::string_view frame);

}  // namespace hvguard
