// Snapshot: what was read of the host at one instant. Made by observe/ on the sampler thread,
// immutable afterwards, carries its own clock readings. A reading that is missing is absent
// (nullopt or not in the list) and explained by a Gap or a SourceStatus; it is never zero.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/counter.h"
#include "base/ids.h"
#include "base/time.h"
#include "model/boot_record.h"
#include "model/vm.h"

namespace hvguard {

// Where readings come from. Each one has exactly one SourceStatus per Snapshot.
enum class Source {
  kTasks,            // blocked tasks: BPF task iterator, else /proc/PID/task/TID/status
  kBlockIo,          // IO per VM and device: BPF on block_rq_*, else io.stat
  kLifecycle,        // start and exit of VM managers: BPF events, else a scan every 10 s
  kVmFinder,         // which processes are VM managers
  kVmProbe,          // slow reads of a new VM: command line, cgroup path, machined's name
  kVmCgroups,        // per-VM cgroup v2 files
  kPressure,         // /proc/pressure
  kVmstat,           // /proc/vmstat
  kMeminfo,          // /proc/meminfo
  kLoadavg,          // /proc/loadavg
  kDiskstats,        // /proc/diskstats
  kBlockDevices,     // /sys/block: names, stacking, dm state
  kHungTaskSysctls,  // /proc/sys/kernel/hung_task_*, panic
  kPreviousBoot,     // hvguard-spool's record of the boot before this one
};
inline constexpr std::size_t kSourceCount = 14;

enum class SourceState {
  kOk,
  kDegraded,  // a fallback is in use; detail says what is thereby approximate
  kBlind,     // nothing is known; detail says why and what is therefore not watched
  // Nothing is known, and that is no fault: it has not spoken yet, or has nothing to tell; detail
  // says why. No news for detectors, no trouble for agent_blind.
  kUnknown,
};

struct SourceStatus {
  Source source = Source::kTasks;
  SourceState state = SourceState::kBlind;
  std::string detail;                 // empty when kOk
  std::optional<BootTime> last_good;  // when it last gave data, fallback included
  std::uint64_t dropped_count = 0;    // records lost at this source's bounds since the start
};

enum class GapReason {
  kUnsupported,  // this kernel or host does not have it
  kDenied,       // a permission or capability is missing
  kFailed,       // read or parse error
  kSlow,         // a deadline passed
  kOverflow,     // a bound was reached
};

// One reading that is missing although its source works, e.g. one VM's io.stat.
struct Gap {
  Source source = Source::kTasks;
  GapReason reason = GapReason::kFailed;
  std::string subject;  // VM id, device or file; safe text
  std::string detail;
};
inline constexpr std::size_t kMaxGaps = 256;

// ---- tasks -------------------------------------------------------------------------------------

// What the kernel's hung-task rule (kernel/hung_task.c, task_is_hung) says of a sleeping state.
enum class BlockedClass {
  kHard,      // TASK_UNINTERRUPTIBLE without WAKEKILL, NOLOAD, FROZEN: khungtaskd counts it
  kKillable,  // shows as D, never counted
  kFrozen,    // by the freezer, never counted
  kUnknown,   // D by /proc alone: may be any of the above
};

enum class LockType { kMutex, kSemaphore, kRwsemReader, kRwsemWriter };

// The lock a task waits for and who holds it (task_struct.blocker, 6.18 and later).
struct LockWait {
  LockType type = LockType::kMutex;
  std::optional<Pid> owner_tid;  // none: held by readers or unknown
};

struct BlockedTask {
  TaskId id;
  Pid tgid = 0;
  std::string comm;  // raw, at most 15 bytes: not safe to show
  CgroupId cgroup;   // of the thread, v2; 0 if unknown
  bool kernel_thread = false;
  bool in_iowait = false;
  BlockedClass blocked_class = BlockedClass::kUnknown;
  // When it last left the CPU, good to about 10 ms; none if the kernel does not tell (/proc).
  std::optional<BootTime> off_cpu_since;
  std::uint64_t switch_count = 0;  // nvcsw + nivcsw
  // khungtaskd's own marks; none without BPF.
  std::optional<std::uint64_t> last_switch_count;
  std::optional<std::uint64_t> last_switch_jiffies;
  std::vector<std::string> stack;  // kernel functions, innermost first, at most 16
  std::optional<LockWait> lock;
  std::string worker_description;  // of a kworker, e.g. "flush-253:0"; empty otherwise
};
inline constexpr std::size_t kMaxBlockedTasks = 4096;

// One pass over all tasks.
struct TaskPass {
  BootTime pass_time;
  std::uint64_t seen_count = 0;
  std::optional<std::uint64_t> hard_count;
  std::optional<std::uint64_t> killable_count;
  std::optional<std::uint64_t> idle_count;  // TASK_IDLE kernel threads: fine
  std::optional<std::uint64_t> frozen_count;
  std::optional<std::uint64_t>
      jiffies;  // jiffies_64 at pass_time, same base as last_switch_jiffies
  std::optional<BootTime> khungtaskd_ran;  // when khungtaskd last got a CPU: the phase of its scans
  std::vector<BlockedTask> blocked;        // kHard, kKillable, kFrozen, kUnknown; bounded
};

// /proc/sys/kernel, as they are.
struct HungTaskSysctls {
  std::optional<std::uint64_t> timeout_seconds;         // hung_task_timeout_secs, 0 = off
  std::optional<std::uint64_t> check_interval_seconds;  // 0 = same as the timeout
  std::optional<std::uint64_t> check_count;             // tasks looked at per scan
  std::optional<std::int64_t> warnings_left;            // -1 = unlimited
  std::optional<std::uint64_t> detect_count;            // since 6.13
  std::optional<std::uint64_t> hung_task_panic;  // 0 off; 1 on; N (after 6.18): N hung in one scan
  std::optional<std::int64_t> panic_seconds;     // kernel.panic: reboot delay, 0 = hangs for ever
};

// ---- host --------------------------------------------------------------------------------------

// One line of a PSI file. Ratios 0 to 1; total is stall time in microseconds.
struct PressureLine {
  double avg10_ratio = 0;
  double avg60_ratio = 0;
  double avg300_ratio = 0;
  Counter total_microseconds;
};

struct Pressure {
  std::optional<PressureLine> some;
  std::optional<PressureLine> full;
};

struct Vmstat {
  std::optional<Counter> swap_in_pages;
  std::optional<Counter> swap_out_pages;
  std::optional<Counter> major_faults;
  std::optional<Counter> oom_kills;
  std::optional<Counter> refault_anon_pages;
  std::optional<Counter> refault_file_pages;
};

struct Meminfo {
  std::optional<std::uint64_t> total_bytes;
  std::optional<std::uint64_t> available_bytes;
  std::optional<std::uint64_t> swap_total_bytes;
  std::optional<std::uint64_t> swap_free_bytes;
  std::optional<std::uint64_t> dirty_bytes;
  std::optional<std::uint64_t> writeback_bytes;
};

struct Loadavg {
  double one_minute = 0;
  double five_minutes = 0;
  double fifteen_minutes = 0;
  std::uint64_t thread_count = 0;
};

struct HostReading {
  std::string hostname;        // safe text
  std::string kernel_release;  // uname -r
  std::optional<Pressure> cpu_pressure;
  std::optional<Pressure> memory_pressure;
  std::optional<Pressure> io_pressure;
  std::optional<Vmstat> vmstat;
  std::optional<Meminfo> meminfo;
  std::optional<Loadavg> loadavg;
  std::optional<HungTaskSysctls> hung_task;
  // Whole disks and stacked devices that swap lies on; none if that is not known, as with a swap
  // file. Empty: no swap.
  std::optional<std::vector<DeviceId>> swap_devices;
};

// hvguardd as the kernel sees it: for GetStatus and the self-limits.
struct SelfReading {
  std::optional<std::uint64_t> resident_bytes;
  std::optional<Counter> cpu_microseconds;
  std::optional<std::uint64_t> thread_count;
};

// ---- block IO ----------------------------------------------------------------------------------

// One whole disk or stacked device (no partitions), from /proc/diskstats and /sys/block.
struct DeviceReading {
  DeviceId id;
  std::string name;               // "nvme0n1", "dm-3"; safe text
  std::vector<DeviceId> beneath;  // the devices this one is stacked on
  std::optional<bool> suspended;  // dm only
  std::optional<Counter> read_operations;
  std::optional<Counter> read_bytes;
  std::optional<Counter> write_operations;
  std::optional<Counter> write_bytes;
  std::optional<Counter> busy_microseconds;
  std::optional<std::uint64_t> in_flight_count;
};

enum class IoOperation { kRead, kWrite, kDiscard, kFlush };
inline constexpr std::size_t kIoOperationCount = 4;

// Bucket i counts times of [2^i, 2^(i+1)) microseconds; bucket 0 also those under 1, the last one
// everything longer (134 s and up).
inline constexpr std::size_t kLatencyBuckets = 28;
using LatencyHistogram = std::array<std::uint64_t, kLatencyBuckets>;

struct IoOperationReading {
  Counter operations;
  Counter bytes;
  Counter errors;
  LatencyHistogram queue_time{};   // request allocated → completed
  LatencyHistogram device_time{};  // issued to the device → completed
};

// IO of one VM (or of everything else) on one device, counted since the VM was found.
struct BlockIoReading {
  std::optional<VmId> vm;  // none: all that belongs to no VM
  DeviceId device;
  std::array<IoOperationReading, kIoOperationCount> by_operation;
  // Latency histograms and errors are absent from the io.stat fallback.
  bool counts_only = false;
  std::optional<std::uint64_t> in_flight_count;
  std::optional<std::uint64_t> flush_in_flight_count;  // of those; none: not certain
  std::optional<BootTime> last_completion;             // none: no completion yet
  std::optional<BootTime> last_idle;  // when nothing was last in flight, as far as known
};

// ---- the whole ---------------------------------------------------------------------------------

struct Snapshot {
  BootId boot_id;
  std::uint64_t tick = 0;  // 1, 2, 3 … since the daemon's start; skipped ticks leave holes
  BootTime boot_time;      // when the reading began
  WallTime wall_time;      // the same moment
  Nanoseconds read_duration{0};
  Nanoseconds interval{0};  // the configured distance of ticks

  HostReading host;
  SelfReading self;
  std::optional<TaskPass> tasks;
  std::vector<DeviceReading> devices;
  std::vector<BlockIoReading> block_io;
  std::vector<VmReading> vms;
  std::vector<VmDeparture> departed_vms;            // gone since the previous Snapshot
  std::shared_ptr<const BootRecord> previous_boot;  // null until hvguard-spool has told of it

  std::array<SourceStatus, kSourceCount> sources{};  // indexed by Source
  std::vector<Gap> gaps;                             // at most kMaxGaps
  std::uint64_t dropped_gap_count = 0;

  [[nodiscard]] const SourceStatus& source(Source which) const {
    return sources.at(static_cast<std::size_t>(which));
  }
};

}  // namespace hvguard
