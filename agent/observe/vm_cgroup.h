// VmCgroup: the cgroup v2 directory of one VM, held open with its files. Sampler thread only.
// A read on a kept descriptor whose cgroup was removed gives ENODEV, which is how we learn that it
// is gone; a new cgroup of the same name is another one.
// Descriptors: 12 for a VM, so 200 VMs need 2400: guard/ raises RLIMIT_NOFILE to its hard limit at
// start (systemd's default hard limit is 524288).
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ids.h"
#include "model/snapshot.h"
#include "model/vm.h"
#include "observe/cgroupfs.h"
#include "observe/host_root.h"

namespace hvguard::observe {

inline constexpr std::size_t kMaxVmCgroups = 64;
inline constexpr std::size_t kMaxDevicesPerVm = 256;

// What lives in a cgroup and below it, and what it can control.
struct CgroupTree {
  std::vector<CgroupId> ids;                     // the directory's own first; at most kMaxVmCgroups
  std::vector<Pid> pids;                         // of it and below
  bool truncated = false;                        // a bound was reached: there is more
  std::vector<std::string> missing_controllers;  // of cpu, io, memory, pids
};

class VmCgroup {
 public:
  // `path` is relative to the mount, as in /proc/PID/cgroup: "/a/b".
  static Result<VmCgroup> open(const DirFd& mount, const std::string& path);

  [[nodiscard]] CgroupId id() const { return id_; }

  // All files of a tick. Fields without their controller are absent. kGone: the cgroup is.
  // The settings (memory.high, memory.max, pids.max) change seldom: they are read the first time
  // and when with_settings is true, and carried on otherwise.
  [[nodiscard]] Result<VmCgroupReading> read(std::span<char> buffer, bool with_settings);
  // Of a cgroup that holds others too: what its use and limits are is not the VM's, but whether it
  // runs out of tasks is. pids_count and pids_max alone; else as read().
  [[nodiscard]] Result<VmCgroupReading> read_shared(std::span<char> buffer, bool with_settings);
  // io.stat: none without the io controller.
  [[nodiscard]] Result<std::vector<IoStatLine>> read_io(std::span<char> buffer) const;
  // Walks the directories below; opens them by name, so not for every tick.
  [[nodiscard]] Result<CgroupTree> read_tree(std::span<char> buffer, std::size_t max_pids) const;
  // Opens files again whose controller was missing.
  void open_missing();

 private:
  enum File {
    kCpuStat,
    kMemoryCurrent,
    kSwapCurrent,
    kPidsCurrent,
    kCpuPressure,
    kMemoryPressure,
    kIoPressure,
    kMemoryHigh,
    kMemoryMax,
    kPidsMax,
    kIoStat,
    kFileCount,
  };

  VmCgroup(DirFd dir, CgroupId id);
  [[nodiscard]] std::optional<std::uint64_t> read_value(File file, std::span<char> buffer) const;
  [[nodiscard]] std::optional<PressureTotals> read_pressure(File file,
                                                            std::span<char> buffer) const;

  DirFd dir_;
  CgroupId id_;
  std::array<KeptFile, kFileCount> files_;
  bool settings_read_ = false;
  std::optional<std::uint64_t> memory_high_;
  std::optional<std::uint64_t> memory_max_;
  std::optional<std::uint64_t> pids_max_;
};

}  // namespace hvguard::observe
