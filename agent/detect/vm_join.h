// Which VM a blocked task works for. Pure; built once per tick from the VM list.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>

#include "base/ids.h"
#include "model/snapshot.h"

namespace hvguard {

class VmJoin {
 public:
  explicit VmJoin(const Snapshot& snapshot);

  // By the manager's thread group, else the cgroup (iothreads in child cgroups, io_uring workers,
  // vhost threads from 6.4 on), else the name "vhost-<manager's pid>" of the kernel thread that
  // serves a VM's virtio device before 6.4 (drivers/vhost/vhost.c).
  // A cgroup that more than one VM lives in names nobody.
  [[nodiscard]] std::optional<VmId> vm_of(const BlockedTask& task) const;

 private:
  std::unordered_map<Pid, VmId> by_tgid_;
  std::unordered_map<std::uint64_t, std::optional<VmId>> by_cgroup_;
};

}  // namespace hvguard
