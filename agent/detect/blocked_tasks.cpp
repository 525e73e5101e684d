#include "detect/blocked_tasks.h"

#include <algorithm>

namespace hvguard {
namespace {

// Kernel default, where the sysctl could not be read.
constexpr std::uint64_t kDefaultTimeoutSeconds = 120;
// Start times from /proc are in ticks of 10 ms, those from BPF in nanoseconds.
constexpr Nanoseconds kStartTolerance = std::chrono::milliseconds(20);
// off_cpu_since is good to about 10 ms, and a tick can see a wake late but never early.
constexpr double kWakePaceTolerance = 0.9;

// Half the timeout (block/blk.h, blk_wait_io and its predecessors); 0 where detection is off, and
// then these waits do not wake at all.
Nanoseconds wake_interval(const Snapshot& snapshot) {
  const auto& sysctls = snapshot.host.hung_task;
  const std::uint64_t timeout =
      sysctls ? sysctls->timeout_seconds.value_or(kDefaultTimeoutSeconds) : kDefaultTimeoutSeconds;
  constexpr std::uint64_t longest = 365ULL * 24 * 3600;
  return std::chrono::milliseconds(500 * std::min(timeout, longest));
}

bool is_same_task(const BlockedTaskHistory& history, const BlockedTask& task) {
  if (history.tgid != task.tgid || task.switch_count < history.switch_count) {
    return false;
  }
  if (history.id.start == BootTime{} || task.id.start == BootTime{}) {
    return true;  // one of the two readings could not tell
  }
  const Nanoseconds apart = history.id.start - task.id.start;
  return std::max(apart, -apart) <= kStartTolerance;
}

// A self-waking wait that woke and went back to sleep, no faster than such waits do.
bool woke_by_itself(const BlockedTaskHistory& history,
                    const BlockedTask& task,
                    const StackCause& cause,
                    std::uint64_t fingerprint,
                    BootTime pass_time) {
  if (!history.cause.self_waking || !cause.self_waking || fingerprint != history.fingerprint ||
      history.wake_interval <= Nanoseconds(0)) {
    return false;
  }
  const BootTime woke = task.off_cpu_since.value_or(pass_time);
  const auto wakes = static_cast<double>(task.switch_count - history.switch_count);
  const double elapsed = to_seconds(woke - history.last_wake);
  return elapsed >= wakes * to_seconds(history.wake_interval) * kWakePaceTolerance;
}

void begin_wait(BlockedTasksState& state,
                BlockedTaskHistory& history,
                const BlockedTask& task,
                BootTime pass_time,
                Nanoseconds interval) {
  history.id = task.id;
  history.tgid = task.tgid;
  history.since = std::min(task.off_cpu_since.value_or(pass_time), pass_time);
  history.last_wake = history.since;
  history.blocked_class = task.blocked_class;
  history.switch_count = task.switch_count;
  history.wake_interval = interval;
  history.fingerprint = stack_fingerprint(task.stack);
  history.cause = classify_stack(task.stack);
  history.wait_number = state.next_wait_number++;
}

void continue_wait(BlockedTaskHistory& history, const BlockedTask& task) {
  if (task.blocked_class != BlockedClass::kUnknown) {
    history.blocked_class = task.blocked_class;
  }
  if (task.off_cpu_since && history.last_wake == history.since) {
    history.since = std::min(history.since, *task.off_cpu_since);
    history.last_wake = history.since;
  }
  if (history.fingerprint == 0 && !task.stack.empty()) {
    history.fingerprint = stack_fingerprint(task.stack);
    history.cause = classify_stack(task.stack);
  }
}

void update_history(BlockedTasksState& state,
                    BlockedTaskHistory& history,
                    bool known,
                    const BlockedTask& task,
                    BootTime pass_time,
                    Nanoseconds interval) {
  if (known && is_same_task(history, task)) {
    if (task.switch_count == history.switch_count) {
      continue_wait(history, task);
      return;
    }
    const StackCause cause = classify_stack(task.stack);
    if (woke_by_itself(history, task, cause, stack_fingerprint(task.stack), pass_time)) {
      history.switch_count = task.switch_count;
      history.last_wake = std::min(task.off_cpu_since.value_or(pass_time), pass_time);
      return;
    }
  }
  begin_wait(state, history, task, pass_time, interval);
}

}  // namespace

std::vector<TrackedTask> track_blocked_tasks(BlockedTasksState& state,
                                             const Snapshot& snapshot,
                                             const Facts& facts) {
  std::vector<TrackedTask> tracked;
  if (!snapshot.tasks) {
    return tracked;
  }
  const TaskPass& pass = *snapshot.tasks;
  const Nanoseconds interval = wake_interval(snapshot);
  ++state.pass;
  tracked.reserve(pass.blocked.size());
  for (std::size_t i = 0; i < pass.blocked.size(); ++i) {
    const BlockedTask& task = pass.blocked[i];
    const auto [at, inserted] = state.tasks.try_emplace(task.id.tid);
    BlockedTaskHistory& history = at->second;
    update_history(state, history, !inserted, task, pass.pass_time, interval);
    history.pass = state.pass;
    tracked.push_back({.task = &task,
                       .vm = i < facts.vm_of_blocked.size() ? facts.vm_of_blocked[i] : std::nullopt,
                       .blocked_class = history.blocked_class,
                       .since = history.since,
                       .last_wake = history.last_wake,
                       .cause = history.cause,
                       .fingerprint = history.fingerprint,
                       .wait_number = history.wait_number});
  }
  std::erase_if(state.tasks, [&](const auto& entry) { return entry.second.pass != state.pass; });
  return tracked;
}

}  // namespace hvguard
