// A host made up for tests: VMs, disks, blocked tasks and khungtaskd, turned into Snapshots tick by
// tick. Everything that is not set is well and quiet.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/khungtaskd_simulator.h"
#include "model/snapshot.h"

namespace hvguard::test {

enum class IoMotion { kIdle, kMoving, kStuck };

// So many requests complete each second, each after the same time.
struct IoLoad {
  double per_second = 0;
  Nanoseconds queue_time{0};  // of it
  Nanoseconds device_time{0};
};

struct SimulatedLoad {
  IoLoad load;
  double begun = 0;  // part of a request that is not due yet
  IoOperationReading done;
};

struct SimulatedIo {
  IoMotion motion = IoMotion::kIdle;
  std::uint64_t completed_count = 0;
  BootTime last_completion;
  BootTime last_idle;
  std::array<SimulatedLoad, kIoOperationCount> loads;
};

// A blocked task. With wakes_every it sleeps in a self-waking wait, or does IO at that pace.
struct Sleeper {
  BlockedTask task;
  std::optional<Nanoseconds> wakes_every;
  BootTime next_wake;
};

class Host {
 public:
  explicit Host(std::uint32_t hz = 250);

  // The time since the start of the story, which is at 1000 s after the boot.
  [[nodiscard]] Nanoseconds elapsed() const { return now_ - kStart; }
  [[nodiscard]] BootTime now() const { return now_; }
  void advance(Nanoseconds span);
  // What the sampler reads now.
  [[nodiscard]] std::shared_ptr<const Snapshot> snapshot();

  VmId add_vm(const std::string& name, Pid pid);
  void remove_vm(const std::string& name);
  [[nodiscard]] VmReading& vm(const std::string& name);
  [[nodiscard]] std::vector<VmReading>& vms() { return vms_; }

  // Starts to sleep now. The caller fills in what it wants besides.
  Sleeper& block(Pid tid, BlockedClass blocked_class, std::vector<std::string> stack);
  void unblock(Pid tid);
  void set_wakes(Pid tid, Nanoseconds every);

  void set_sysctls(std::uint64_t timeout, std::uint64_t interval, std::uint64_t panic);
  void set_source(Source source, SourceState state, const std::string& detail);
  void set_previous_boot(std::shared_ptr<const BootRecord> record) {
    previous_boot_ = std::move(record);
  }
  void set_io(const std::optional<VmId>& vm, DeviceId device, IoMotion motion);
  // With latencies, besides what set_io says; the load goes on until another is set.
  void set_load(const std::optional<VmId>& vm,
                DeviceId device,
                IoOperation operation,
                const IoLoad& load);
  // Only io.stat is left for block IO: no latencies.
  void set_counts_only(bool on) { counts_only_ = on; }
  void set_io_stall_ratio(double ratio) { io_full_ratio_ = ratio; }
  void set_memory_stall_ratio(double ratio) { memory_full_ratio_ = ratio; }
  // Only /proc is left for tasks: no classes, stacks, or khungtaskd's marks.
  void set_proc_only(bool on) { proc_only_ = on; }
  void reset_counters();
  void forget_next_tasks() { leave_out_tasks_ = true; }
  void set_check_count(std::uint64_t count) { check_count_ = count; }

  [[nodiscard]] std::vector<DeviceReading>& devices() { return devices_; }
  [[nodiscard]] KhungtaskdSimulator& khungtaskd() { return khungtaskd_; }
  [[nodiscard]] BootTime boot_time_of(std::uint64_t jiffies) const;

  static constexpr BootTime kStart{std::chrono::seconds(1000)};
  static constexpr const char* kBootId = "0f1e2d3c-0000-4000-8000-000000000000";

 private:
  void wake_sleepers();
  void move_io(Nanoseconds span);
  [[nodiscard]] TaskPass task_pass();
  [[nodiscard]] std::uint64_t jiffies_at(BootTime moment) const;

  std::uint32_t hz_;
  BootTime now_ = kStart;
  std::uint64_t tick_ = 0;
  KhungtaskdSimulator khungtaskd_;
  std::shared_ptr<const BootRecord> previous_boot_;
  std::vector<VmReading> vms_;
  std::vector<VmDeparture> departed_;
  std::map<Pid, Sleeper> sleepers_;
  std::vector<DeviceReading> devices_;
  std::map<std::pair<std::optional<VmId>, DeviceId>, SimulatedIo> io_;
  std::array<SourceStatus, kSourceCount> sources_;
  std::uint64_t timeout_ = 120;
  std::uint64_t interval_ = 0;
  std::uint64_t panic_ = 0;
  std::uint64_t check_count_ = 4'194'304;
  double io_full_ratio_ = 0;
  double memory_full_ratio_ = 0;
  std::uint64_t io_full_microseconds_ = 0;
  std::uint64_t memory_full_microseconds_ = 0;
  bool proc_only_ = false;
  bool counts_only_ = false;
  bool leave_out_tasks_ = false;
};

}  // namespace hvguard::test
