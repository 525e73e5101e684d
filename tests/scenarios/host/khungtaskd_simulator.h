// khungtaskd and the timer wheel under it, jiffy by jiffy, for tests: written from
// kernel/hung_task.c (watchdog, check_hung_uninterruptible_tasks, check_hung_task) and
// kernel/time/timer.c (calc_wheel_index, collect_expired_timers), and knowing nothing of
// agent/detect.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace hvguard::test {

struct SimulatedTask {
  bool hard = true;  // TASK_UNINTERRUPTIBLE without WAKEKILL, NOLOAD, FROZEN
  std::uint64_t switch_count = 1;
  std::uint64_t last_switch_count = 0;
  std::uint64_t last_switch_jiffies = 0;
};

class KhungtaskdSimulator {
 public:
  // The thread starts (or has just scanned) at `jiffies`.
  KhungtaskdSimulator(std::uint32_t hz, std::uint64_t jiffies);

  void set_sysctls(std::uint64_t timeout_seconds,
                   std::uint64_t check_interval_seconds,
                   std::uint64_t panic);
  // Runs everything up to and including that jiffy.
  void run_until(std::uint64_t jiffies);

  [[nodiscard]] std::uint64_t jiffies() const { return jiffies_; }
  [[nodiscard]] std::uint64_t last_arrival_jiffies() const { return last_arrival_; }
  [[nodiscard]] std::optional<std::uint64_t> panicked_at() const { return panicked_at_; }
  [[nodiscard]] std::map<int, SimulatedTask>& tasks() { return tasks_; }
  [[nodiscard]] std::uint64_t scan_count() const { return scan_count_; }

 private:
  void wake();
  void scan();
  void arm(std::uint64_t expires);
  [[nodiscard]] bool timer_fires_now() const;

  std::uint32_t hz_;
  std::uint64_t jiffies_;
  std::uint64_t timeout_seconds_ = 120;
  std::uint64_t check_interval_seconds_ = 0;
  std::uint64_t panic_ = 0;
  std::uint64_t hung_last_checked_;
  std::uint64_t last_arrival_;
  std::uint64_t scan_count_ = 0;
  bool armed_ = false;
  unsigned level_ = 0;   // of the wheel bucket that the sleep's timer is in
  unsigned bucket_ = 0;  // 0 to 63 within it
  std::optional<std::uint64_t> panicked_at_;
  std::map<int, SimulatedTask> tasks_;
};

}  // namespace hvguard::test
