#include "detect/vm_join.h"

#include <string_view>

#include "base/parse.h"

namespace hvguard {
namespace {

constexpr std::string_view kVhostPrefix = "vhost-";
constexpr std::uint64_t kRootCgroup = 1;

bool is_unit_of_its_own(const VmReading& vm) {
  const bool with_strangers = vm.topology.foreign_process_count.value_or(0) > 0;
  return !with_strangers && vm.topology.other_vm_count.value_or(0) == 0;
}

}  // namespace

VmJoin::VmJoin(const Snapshot& snapshot) {
  by_tgid_.reserve(snapshot.vms.size());
  by_cgroup_.reserve(snapshot.vms.size() * 4);
  for (const VmReading& vm : snapshot.vms) {
    by_tgid_.emplace(vm.id.tgid, vm.id);
    if (!is_unit_of_its_own(vm)) {
      continue;  // a neighbour in a shared unit is not the VM
    }
    for (const CgroupId cgroup : vm.cgroups) {
      if (cgroup.value <= kRootCgroup) {
        continue;
      }
      const auto [at, inserted] = by_cgroup_.emplace(cgroup.value, vm.id);
      if (!inserted && at->second != vm.id) {
        at->second.reset();
      }
    }
  }
}

std::optional<VmId> VmJoin::vm_of(const BlockedTask& task) const {
  if (const auto at = by_tgid_.find(task.tgid); at != by_tgid_.end()) {
    return at->second;
  }
  if (const auto at = by_cgroup_.find(task.cgroup.value); at != by_cgroup_.end()) {
    return at->second;
  }
  const std::string_view comm = task.comm;
  if (!task.kernel_thread || !comm.starts_with(kVhostPrefix)) {
    return std::nullopt;
  }
  const auto owner = parse_number<Pid>(comm.substr(kVhostPrefix.size()));
  if (!owner) {
    return std::nullopt;
  }
  const auto at = by_tgid_.find(*owner);
  return at == by_tgid_.end() ? std::nullopt : std::optional(at->second);
}

}  // namespace hvguard
