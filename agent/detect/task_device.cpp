#include "detect/task_device.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/parse.h"

namespace hvguard {
namespace {

// Without a completion for this long a device counts as the place where its waiters are stuck; a
// task is asked about only after it has been blocked for longer.
constexpr Nanoseconds kNoCompletion = std::chrono::seconds(3);

constexpr std::string_view kJournalThread = "jbd2/";
constexpr std::array kThreadPrefixes = {
    kJournalThread, std::string_view("xfsaild/"), std::string_view("xfs-sync/")};
constexpr std::string_view kFlushWorker = "flush-";

// "dm-3" of "dm-3-8": fs/jbd2/journal.c appends the journal's inode number. A comm holds 15 bytes,
// so that the number can be missing.
std::string_view without_journal_inode(std::string_view name) {
  const auto dash = name.rfind('-');
  if (dash == std::string_view::npos) {
    return name;
  }
  const std::string_view tail = name.substr(dash + 1);
  const bool number =
      std::all_of(tail.begin(), tail.end(), [](char c) { return c >= '0' && c <= '9'; });
  // "dm-3" has a dash of its own.
  return number && name.substr(0, dash) != "dm" ? name.substr(0, dash) : name;
}

}  // namespace

TaskDevices::TaskDevices(const Snapshot& snapshot,
                         const std::vector<TrackedTask>& tasks,
                         const std::vector<StalledIo>& stalled)
    : stack_(snapshot.devices) {
  const BootTime now = snapshot.boot_time;
  std::map<DeviceId, BootTime> last_progress;
  const auto saw = [&](DeviceId device, BootTime moment) {
    const auto [at, inserted] = last_progress.emplace(device, moment);
    at->second = std::max(at->second, moment);
  };
  for (const BlockIoReading& reading : snapshot.block_io) {
    if (reading.last_completion) {
      saw(reading.device, *reading.last_completion);
    }
  }
  for (const StalledIo& io : stalled) {
    saw(io.device, io.since);
    if (io.vm && now - io.since >= kNoCompletion) {
      stalled_of_vm_[*io.vm].insert(io.device);
    }
  }
  for (const StalledIo& io : stalled) {
    if (now - last_progress.at(io.device) >= kNoCompletion) {
      stalled_.insert(io.device);
    }
  }
  for (const DeviceReading& device : snapshot.devices) {
    if (device.suspended.value_or(false)) {
      suspended_.insert(device.id);
    }
  }
  for (const BlockIoReading& reading : snapshot.block_io) {
    if (!suspended_.empty() && reading.vm) {
      used_by_vm_[*reading.vm].insert(reading.device);
    }
  }
  for (const TrackedTask& task : tasks) {
    if (task.counts() && std::string_view(task.task->comm).starts_with(kJournalThread)) {
      if (const auto device = named_device(*task.task)) {
        blocked_journals_.insert(settled(*device).device.value_or(*device));
      }
    }
  }
}

std::optional<DeviceId> TaskDevices::named_device(const BlockedTask& task) const {
  if (!task.kernel_thread) {
    return std::nullopt;  // anyone can call himself jbd2/sda1-8
  }
  const std::string_view worker = task.worker_description;
  if (worker.starts_with(kFlushWorker)) {
    const auto device = parse_device_id(worker.substr(kFlushWorker.size()));
    // Major 0 is a file system without a block device of its own.
    return device && device->major != 0 ? std::optional(*device) : std::nullopt;
  }
  const std::string_view comm = task.comm;
  for (const std::string_view prefix : kThreadPrefixes) {
    if (!comm.starts_with(prefix)) {
      continue;
    }
    std::string_view name = comm.substr(prefix.size());
    if (prefix == kJournalThread) {
      name = without_journal_inode(name);
    }
    const DeviceReading* const device = stack_.by_name(name);
    return device == nullptr ? std::nullopt : std::optional(device->id);
  }
  return std::nullopt;
}

std::optional<DeviceId> TaskDevices::only_lowest(const std::set<DeviceId>& devices) const {
  const std::vector<DeviceId> all(devices.begin(), devices.end());
  std::optional<DeviceId> only;
  for (const DeviceId device : all) {
    if (stack_.is_above_any(device, all)) {
      continue;
    }
    if (only) {
      return std::nullopt;
    }
    only = device;
  }
  return only;
}

TaskDevice TaskDevices::settled(DeviceId device) const {
  if (suspended_.contains(device)) {
    return {.device = device, .suspended = true};
  }
  std::set<DeviceId> stuck_below;
  for (const DeviceId below : stack_.all_beneath(device)) {
    if (suspended_.contains(below)) {
      return {.device = below, .suspended = true};
    }
    if (stalled_.contains(below)) {
      stuck_below.insert(below);
    }
  }
  return {.device = only_lowest(stuck_below).value_or(device)};
}

// A bio-based dm device that is suspended keeps what it is given: no request is issued beneath it
// (drivers/md/dm.c, queue_io()), so that nothing stalls there.
std::optional<DeviceId> TaskDevices::suspended_of_vm(const VmId& vm) const {
  const auto used = used_by_vm_.find(vm);
  if (used == used_by_vm_.end()) {
    return std::nullopt;
  }
  const std::vector<DeviceId> disks(used->second.begin(), used->second.end());
  std::set<DeviceId> above;
  for (const DeviceId device : suspended_) {
    if (used->second.contains(device) || stack_.is_above_any(device, disks)) {
      above.insert(device);
    }
  }
  return only_lowest(above);
}

TaskDevice TaskDevices::device_of(const TrackedTask& task) const {
  if (const auto device = named_device(*task.task)) {
    return settled(*device);
  }
  if (task.cause.cause == HungTaskCause::kFilesystemJournal && blocked_journals_.size() == 1) {
    return settled(*blocked_journals_.begin());
  }
  if (const auto own = task.vm ? stalled_of_vm_.find(*task.vm) : stalled_of_vm_.end();
      own != stalled_of_vm_.end()) {
    const auto device = only_lowest(own->second);
    return device ? settled(*device) : TaskDevice{};
  }
  if (const auto device = task.vm ? suspended_of_vm(*task.vm) : std::nullopt) {
    return {.device = *device, .suspended = true};
  }
  if (!stalled_.empty()) {
    const auto device = only_lowest(stalled_);
    return device ? settled(*device) : TaskDevice{};
  }
  if (suspended_.size() == 1) {
    return {.device = *suspended_.begin(), .suspended = true};
  }
  return {};
}

}  // namespace hvguard
