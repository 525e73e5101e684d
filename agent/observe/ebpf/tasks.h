// Blocked tasks through bpf/tasks.bpf.c: one pass looks at every task of the host and returns those
// asleep in D, by khungtaskd's own rule. Costs 0.1 to 0.5 microseconds a task and takes no lock
// that a stuck task can hold. Owned and called by the sampler thread alone.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "model/snapshot.h"
#include "observe/ebpf/support.h"

struct tasks_bpf;

namespace hvguard::observe {

class BlockedTaskReader {
 public:
  // Fails if the object does not load (run_libbpf); then /proc is the fallback.
  static Result<BlockedTaskReader> open(const BpfSupport& support);
  BlockedTaskReader(BlockedTaskReader&&) noexcept;
  BlockedTaskReader& operator=(BlockedTaskReader&&) noexcept;
  ~BlockedTaskReader();

  // One pass. Sleeps some tens of microseconds first: a thread that has just got its CPU knows how
  // far the scheduler's clock is from the others, which off_cpu_since needs.
  Result<TaskPass> pass();

  // How far off_cpu_since may be off because of the clocks; none before a pass had the chance to
  // tell. To it comes interrupt and steal time while the task last ran; for real-time tasks, whose
  // time on the CPU is not known, off_cpu_since is when they last began to run.
  [[nodiscard]] std::optional<Nanoseconds> clock_error() const;
  // Blocked tasks counted but not returned since the start: beyond 4096 hard, 1024 of other kinds.
  [[nodiscard]] std::uint64_t dropped_count() const { return dropped_count_; }
  [[nodiscard]] std::vector<BpfProgramStatistics> statistics() const;

 private:
  struct Close {
    void operator()(tasks_bpf* object) const;
  };
  // CLOCK_BOOTTIME minus the scheduler's clock, known to lie between the two.
  struct ClockOffset {
    Nanoseconds low{0};
    Nanoseconds high{0};
  };

  explicit BlockedTaskReader(std::unique_ptr<tasks_bpf, Close> object);
  Result<> read_records(int fd, TaskPass& pass);
  void update_clock_offset(Nanoseconds monotonic_before, std::uint64_t switches_before);
  [[nodiscard]] std::optional<BootTime> from_scheduler_clock(std::uint64_t nanoseconds) const;

  std::unique_ptr<tasks_bpf, Close> object_;
  std::vector<char> buffer_;
  std::optional<ClockOffset> offset_;
  std::uint64_t dropped_count_ = 0;
};

}  // namespace hvguard::observe
