// DeviceReader: whole disks and stacked devices from /proc/diskstats (each tick) and /sys/block
// (names, stacking, dm state; with a rescan and whenever an unknown device appears). Sampler
// thread only. Never reads /sys/block/X/queue/*: on 6.1 those block uninterruptibly behind a stuck
// attribute write (block/blk-sysfs.c, queue_attr_show).
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "model/snapshot.h"
#include "observe/host_root.h"
#include "observe/procfs.h"
#include "observe/source_book.h"

namespace hvguard::observe {

inline constexpr std::size_t kMaxDevices = 4096;

class DeviceReader {
 public:
  explicit DeviceReader(const HostRoot& root);

  // Reads /sys/block anew.
  void rescan(const HostRoot& root);
  [[nodiscard]] std::vector<DeviceReading> read(const HostRoot& root,
                                                std::span<char> buffer,
                                                SourceBook& book);

 private:
  struct Disk {
    std::string raw_name;
    std::string name;
    std::vector<DeviceId> beneath;
    KeptFile suspended;  // dm only
  };

  void read_disk(const DirFd& block, const std::string& name);
  void link_beneath(const DirFd& block);
  [[nodiscard]] bool any_unknown(std::string_view diskstats) const;
  [[nodiscard]] DeviceReading reading(const DiskstatsLine& line, const Disk& disk) const;

  KeptFile diskstats_;
  std::map<DeviceId, Disk> disks_;
  std::set<DeviceId> not_disks_;  // partitions: seen in diskstats, not in /sys/block
  std::string sysfs_error_;
  bool truncated_ = false;
};

}  // namespace hvguard::observe
