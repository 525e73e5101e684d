// Identities. A PID or a name alone is never one: PIDs and cgroup paths are used again.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace hvguard {

using Pid = std::int32_t;

// One thread: its id and when it started (task_struct.start_boottime; fs/proc "starttime").
struct TaskId {
  Pid tid = 0;
  BootTime start;

  auto operator<=>(const TaskId&) const = default;
};

// kernfs id of a cgroup v2 directory (its inode number on 64-bit); the root is 1.
struct CgroupId {
  std::uint64_t value = 0;

  auto operator<=>(const CgroupId&) const = default;
};

// Block device number. "254:0" in text.
struct DeviceId {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;

  auto operator<=>(const DeviceId&) const = default;
};

// 16 random bytes of /proc/sys/kernel/random/boot_id as its text form (36 characters).
using BootId = std::string;

// One VM: its manager process and the cgroup it lives in; together with the host's boot id this is
// unique for ever. Names are labels only.
struct VmId {
  Pid tgid = 0;
  BootTime start;
  CgroupId cgroup;

  auto operator<=>(const VmId&) const = default;
};

// "4711-000000e8d4a51000-23": short, stable within one boot, safe in paths and URLs; what the API
// calls vm_id. parse_vm_id(to_string(id)) gives id back.
[[nodiscard]] std::string to_string(const VmId& id);
[[nodiscard]] Result<VmId> parse_vm_id(std::string_view text);
[[nodiscard]] std::string to_string(const DeviceId& id);
// "254:0"
[[nodiscard]] Result<DeviceId> parse_device_id(std::string_view text);

}  // namespace hvguard
