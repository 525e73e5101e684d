#include "observe/vm_cgroup.h"

#include <cerrno>
#include <iterator>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>

#include "observe/procfs.h"

namespace hvguard::observe {
namespace {

constexpr std::array<std::string_view, 4> kControllers = {"cpu", "io", "memory", "pids"};
constexpr std::size_t kMaxEntries = 512;  // of one cgroup directory: files and child cgroups

Result<CgroupId> id_of(const DirFd& dir) {
  struct stat status{};
  if (::fstat(dir.get(), &status) != 0) {
    return fail_errno(errno, "stat cgroup directory");
  }
  return CgroupId{status.st_ino};
}

// The directories in a cgroup; everything the kernel itself makes there is a file with a dot in
// its name, but so are scopes and services.
std::vector<DirFd> open_children(const DirFd& dir, std::size_t max_count, bool& truncated) {
  std::vector<DirFd> children;
  const auto list = list_directory(dir, kMaxEntries);
  if (!list) {
    return children;
  }
  truncated |= list->truncated;
  for (const auto& name : list->names) {
    struct stat status{};
    if (::fstatat(dir.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISDIR(status.st_mode)) {
      continue;
    }
    if (children.size() == max_count) {
      truncated = true;
      break;
    }
    if (auto child = dir.open_dir(name)) {
      children.push_back(std::move(*child));
    }
  }
  return children;
}

}  // namespace

VmCgroup::VmCgroup(DirFd dir, CgroupId id)
    : dir_(std::move(dir)),
      id_(id),
      files_{KeptFile("cpu.stat"),
             KeptFile("memory.current"),
             KeptFile("memory.swap.current"),
             KeptFile("pids.current"),
             KeptFile("cpu.pressure"),
             KeptFile("memory.pressure"),
             KeptFile("io.pressure"),
             KeptFile("memory.high"),
             KeptFile("memory.max"),
             KeptFile("pids.max"),
             KeptFile("io.stat")} {
  open_missing();
}

Result<VmCgroup> VmCgroup::open(const DirFd& mount, const std::string& path) {
  auto dir = mount.open_dir("." + path);
  if (!dir) {
    return fail(std::move(dir).error());
  }
  const auto id = id_of(*dir);
  if (!id) {
    return fail(id.error());
  }
  return VmCgroup(std::move(*dir), *id);
}

void VmCgroup::open_missing() {
  for (auto& file : files_) {
    file.open(dir_);
  }
}

std::optional<std::uint64_t> VmCgroup::read_value(File file, std::span<char> buffer) const {
  const auto text = files_.at(file).read_record(buffer);
  return text ? parse_single_value(*text) : std::nullopt;
}

std::optional<PressureTotals> VmCgroup::read_pressure(File file, std::span<char> buffer) const {
  const auto text = files_.at(file).read_record(buffer);
  const auto pressure = text ? parse_pressure(*text) : std::nullopt;
  if (!pressure || !pressure->some) {
    return std::nullopt;
  }
  PressureTotals totals;
  totals.some_microseconds = pressure->some->total_microseconds;
  if (pressure->full) {
    totals.full_microseconds = pressure->full->total_microseconds;
  }
  return totals;
}

Result<VmCgroupReading> VmCgroup::read(std::span<char> buffer, bool with_settings) {
  VmCgroupReading reading;
  // cpu.stat exists in every cgroup whatever is enabled, so its read tells whether we still do.
  const auto cpu = files_[kCpuStat].read_record(buffer);
  if (!cpu) {
    return fail(cpu.error());
  }
  if (const auto usage = parse_flat_keyed(*cpu, "usage_usec")) {
    reading.cpu_microseconds = Counter{*usage};
  }
  reading.memory_bytes = read_value(kMemoryCurrent, buffer);
  reading.swap_bytes = read_value(kSwapCurrent, buffer);
  reading.pids_count = read_value(kPidsCurrent, buffer);
  reading.cpu_pressure = read_pressure(kCpuPressure, buffer);
  reading.memory_pressure = read_pressure(kMemoryPressure, buffer);
  reading.io_pressure = read_pressure(kIoPressure, buffer);
  if (with_settings || !settings_read_) {
    settings_read_ = true;
    memory_high_ = read_value(kMemoryHigh, buffer);
    memory_max_ = read_value(kMemoryMax, buffer);
    pids_max_ = read_value(kPidsMax, buffer);
  }
  reading.memory_high_bytes = memory_high_;
  reading.memory_max_bytes = memory_max_;
  reading.pids_max = pids_max_;
  return reading;
}

Result<VmCgroupReading> VmCgroup::read_shared(std::span<char> buffer, bool with_settings) {
  if (const auto cpu = files_[kCpuStat].read_record(buffer); !cpu) {
    return fail(cpu.error());
  }
  if (with_settings || !settings_read_) {
    pids_max_ = read_value(kPidsMax, buffer);
  }
  VmCgroupReading reading;
  reading.pids_count = read_value(kPidsCurrent, buffer);
  reading.pids_max = pids_max_;
  return reading;
}

Result<std::vector<IoStatLine>> VmCgroup::read_io(std::span<char> buffer) const {
  const auto text = files_[kIoStat].read(buffer);
  if (!text) {
    return fail(text.error());
  }
  return parse_io_stat(*text, kMaxDevicesPerVm);
}

Result<CgroupTree> VmCgroup::read_tree(std::span<char> buffer, std::size_t max_pids) const {
  CgroupTree tree;
  const auto controllers = read_file_at(dir_, "cgroup.controllers", buffer);
  if (!controllers) {
    return fail(controllers.error());
  }
  for (const auto controller : kControllers) {
    if (!has_word(*controllers, controller)) {
      tree.missing_controllers.emplace_back(controller);
    }
  }
  const auto take = [&](const DirFd& dir) {
    const auto id = id_of(dir);
    const auto text = read_file_at(dir, "cgroup.procs", buffer);
    if (!id) {
      return;
    }
    tree.ids.push_back(*id);
    if (text) {  // EOPNOTSUPP in a threaded cgroup, whose processes its domain lists
      const auto list = parse_pids(*text, max_pids - tree.pids.size());
      tree.truncated |= list.truncated;
      tree.pids.insert(tree.pids.end(), list.pids.begin(), list.pids.end());
    } else if (text.error().code == Errc::kExhausted) {
      tree.truncated = true;
    }
  };
  take(dir_);
  std::vector<DirFd> level = open_children(dir_, kMaxVmCgroups, tree.truncated);
  while (!level.empty()) {
    std::vector<DirFd> next;
    for (const auto& dir : level) {
      if (tree.ids.size() == kMaxVmCgroups) {
        tree.truncated = true;
        return tree;
      }
      take(dir);
      auto children = open_children(dir, kMaxVmCgroups - next.size(), tree.truncated);
      std::move(children.begin(), children.end(), std::back_inserter(next));
    }
    level = std::move(next);
  }
  return tree;
}

}  // namespace hvguard::observe
