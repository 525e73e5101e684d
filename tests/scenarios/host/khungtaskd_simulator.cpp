#include "host/khungtaskd_simulator.h"

#include <algorithm>

namespace hvguard::test {
namespace {

constexpr unsigned kLevelBits = 6;        // LVL_BITS: 64 buckets per level
constexpr unsigned kLevelClockShift = 3;  // LVL_CLK_SHIFT
constexpr unsigned kLevels = 9;           // LVL_DEPTH
constexpr std::uint64_t kBuckets = 1U << kLevelBits;

// LVL_START(n)
std::uint64_t level_start(unsigned level) {
  return (kBuckets - 1) << ((level - 1) * kLevelClockShift);
}

}  // namespace

KhungtaskdSimulator::KhungtaskdSimulator(std::uint32_t hz, std::uint64_t jiffies)
    : hz_(hz), jiffies_(jiffies), hung_last_checked_(jiffies), last_arrival_(jiffies) {
  wake();
}

void KhungtaskdSimulator::set_sysctls(std::uint64_t timeout_seconds,
                                      std::uint64_t check_interval_seconds,
                                      std::uint64_t panic) {
  const bool wakes =
      timeout_seconds != timeout_seconds_ || check_interval_seconds != check_interval_seconds_;
  timeout_seconds_ = timeout_seconds;
  check_interval_seconds_ = check_interval_seconds;
  panic_ = panic;
  if (wakes) {  // proc_dohung_task_timeout_secs(): wake_up_process(watchdog_task)
    last_arrival_ = jiffies_;
    wake();
  }
}

// The body of watchdog()'s loop, until it sleeps again.
void KhungtaskdSimulator::wake() {
  while (true) {
    const std::uint64_t timeout = timeout_seconds_;
    std::uint64_t interval = check_interval_seconds_;
    if (interval == 0) {
      interval = timeout;
    }
    interval = std::min(interval, timeout);
    if (interval == 0) {
      armed_ = false;  // MAX_SCHEDULE_TIMEOUT
      return;
    }
    const std::uint64_t due = hung_last_checked_ + interval * hz_;
    if (due > jiffies_) {
      arm(due);
      return;
    }
    scan();
    hung_last_checked_ = jiffies_;
  }
}

// check_hung_uninterruptible_tasks()
void KhungtaskdSimulator::scan() {
  ++scan_count_;
  std::uint64_t hung = 0;
  for (auto& [tid, task] : tasks_) {
    if (!task.hard || task.switch_count == 0) {
      continue;
    }
    if (task.switch_count != task.last_switch_count) {
      task.last_switch_count = task.switch_count;
      task.last_switch_jiffies = jiffies_;
      continue;
    }
    if (task.last_switch_jiffies + timeout_seconds_ * hz_ > jiffies_) {
      continue;
    }
    ++hung;
  }
  if (panic_ > 0 && hung >= panic_ && !panicked_at_) {
    panicked_at_ = jiffies_;
  }
}

// calc_wheel_index(), with base->clk at the present jiffy
void KhungtaskdSimulator::arm(std::uint64_t expires) {
  const std::uint64_t delta = expires - jiffies_;
  level_ = 0;
  while (level_ + 1 < kLevels && delta >= level_start(level_ + 1)) {
    ++level_;
  }
  bucket_ = static_cast<unsigned>(((expires >> (level_ * kLevelClockShift)) + 1) % kBuckets);
  armed_ = true;
}

// collect_expired_timers(): level n is looked at when the lower 3 * n bits of the clock are zero.
bool KhungtaskdSimulator::timer_fires_now() const {
  const unsigned shift = level_ * kLevelClockShift;
  const bool looked_at = (jiffies_ & ((std::uint64_t{1} << shift) - 1)) == 0;
  return armed_ && looked_at && ((jiffies_ >> shift) % kBuckets) == bucket_;
}

void KhungtaskdSimulator::run_until(std::uint64_t jiffies) {
  while (jiffies_ < jiffies) {
    ++jiffies_;
    if (timer_fires_now()) {
      armed_ = false;
      last_arrival_ = jiffies_;
      wake();
    }
  }
}

}  // namespace hvguard::test
