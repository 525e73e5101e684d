#include "observe/device_reader.h"

#include <algorithm>
#include <array>
#include <utility>

#include <unistd.h>

#include "base/parse.h"
#include "base/text.h"
#include "observe/procfs.h"

namespace hvguard::observe {
namespace {

constexpr std::size_t kMaxDeviceNameBytes = 64;
constexpr std::size_t kMaxBeneath = 64;

// A partition has no entry in /sys/block; the link slaves/sda3 → …/block/sda/sda3 names its disk.
std::string disk_of_slave(const DirFd& slaves, const std::string& name) {
  std::array<char, 4096> target;
  const ssize_t length = ::readlinkat(slaves.get(), name.c_str(), target.data(), target.size());
  if (length <= 0) {
    return {};
  }
  std::string_view path(target.data(), static_cast<std::size_t>(length));
  path = path.substr(0, path.rfind('/'));
  return std::string(path.substr(path.rfind('/') + 1));
}

// Unused loop and ram devices exist by the dozen on every host.
bool is_unused_stub(const DiskstatsLine& line) {
  return (line.name.starts_with("loop") || line.name.starts_with("ram")) &&
         line.read_operations.value == 0 && line.write_operations.value == 0 &&
         line.in_flight_count == 0;
}

}  // namespace

DeviceReader::DeviceReader(const HostRoot& root) : diskstats_("diskstats") {
  rescan(root);
}

void DeviceReader::rescan(const HostRoot& root) {
  diskstats_.open(root.proc());
  disks_.clear();
  not_disks_.clear();
  sysfs_error_.clear();
  if (!root.sys().valid()) {
    sysfs_error_ = "/sys cannot be opened";
    return;
  }
  const auto block = root.sys().open_dir("block");
  if (!block) {
    sysfs_error_ = block.error().message;
    return;
  }
  const auto list = list_directory(*block, kMaxDevices);
  if (!list) {
    sysfs_error_ = list.error().message;
    return;
  }
  truncated_ = list->truncated;
  for (const auto& name : list->names) {
    read_disk(*block, name);
  }
  link_beneath(*block);
}

void DeviceReader::read_disk(const DirFd& block, const std::string& name) {
  std::array<char, 64> buffer;
  const auto text = read_file_at(block, name + "/dev", buffer);
  const auto id = text ? parse_device_id(trimmed(*text)) : fail(text.error());
  if (!id) {
    return;  // gone again
  }
  Disk disk;
  disk.raw_name = name;
  disk.name = safe_text(name, kMaxDeviceNameBytes);
  if (name.starts_with("dm-")) {
    disk.suspended = KeptFile(name + "/dm/suspended");
    disk.suspended.open(block);
  }
  disks_.insert_or_assign(*id, std::move(disk));
}

void DeviceReader::link_beneath(const DirFd& block) {
  std::map<std::string, DeviceId, std::less<>> by_name;
  for (const auto& [id, disk] : disks_) {
    by_name.emplace(disk.raw_name, id);
  }
  for (auto& [id, disk] : disks_) {
    const auto slaves = block.open_dir(disk.raw_name + "/slaves");
    const auto list = slaves ? list_directory(*slaves, kMaxBeneath) : fail(slaves.error());
    if (!list) {
      continue;
    }
    for (const auto& slave : list->names) {
      auto found = by_name.find(slave);
      if (found == by_name.end()) {
        found = by_name.find(disk_of_slave(*slaves, slave));
      }
      if (found != by_name.end() &&
          std::find(disk.beneath.begin(), disk.beneath.end(), found->second) ==
              disk.beneath.end()) {
        disk.beneath.push_back(found->second);
      }
    }
  }
}

bool DeviceReader::any_unknown(std::string_view diskstats) const {
  while (!diskstats.empty()) {
    const auto line = parse_diskstats_line(next_field(diskstats, '\n'));
    if (!line || not_disks_.contains(line->id)) {
      continue;
    }
    const auto disk = disks_.find(line->id);
    if (disk == disks_.end() || disk->second.raw_name != line->name) {
      return true;
    }
  }
  return false;
}

DeviceReading DeviceReader::reading(const DiskstatsLine& line, const Disk& disk) const {
  DeviceReading reading;
  reading.id = line.id;
  reading.name = disk.name;
  reading.beneath = disk.beneath;
  reading.read_operations = line.read_operations;
  reading.read_bytes = line.read_bytes;
  reading.write_operations = line.write_operations;
  reading.write_bytes = line.write_bytes;
  reading.busy_microseconds = line.busy_microseconds;
  reading.in_flight_count = line.in_flight_count;
  if (disk.suspended.is_open()) {
    std::array<char, 16> buffer;
    if (const auto text = disk.suspended.read_record(buffer)) {
      if (const auto value = parse_sysctl_unsigned(*text)) {
        reading.suspended = *value != 0;
      }
    }
  }
  return reading;
}

std::vector<DeviceReading> DeviceReader::read(const HostRoot& root,
                                              std::span<char> buffer,
                                              SourceBook& book) {
  std::vector<DeviceReading> devices;
  const auto text = diskstats_.read(buffer);
  if (!text) {
    book.blind(Source::kDiskstats, text.error().message + ". Disks are not watched");
    return devices;
  }
  book.good(Source::kDiskstats);
  if (any_unknown(*text)) {
    rescan(root);
  }
  if (!sysfs_error_.empty()) {
    book.blind(Source::kBlockDevices,
               sysfs_error_ + ". Disks cannot be told from partitions, so none is watched");
    return devices;
  }
  auto rest = *text;
  while (!rest.empty()) {
    const auto line = parse_diskstats_line(next_field(rest, '\n'));
    if (!line) {
      continue;
    }
    const auto disk = disks_.find(line->id);
    if (disk == disks_.end()) {
      if (not_disks_.size() < 4 * kMaxDevices) {
        not_disks_.insert(line->id);
      }
    } else if (!is_unused_stub(*line)) {
      devices.push_back(reading(*line, disk->second));
    }
  }
  if (truncated_) {
    book.degraded(
        Source::kBlockDevices,
        "more than " + std::to_string(kMaxDevices) + " block devices; the rest is left out");
  } else {
    book.good(Source::kBlockDevices);
  }
  return devices;
}

}  // namespace hvguard::observe
