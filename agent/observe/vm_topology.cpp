#include "observe/vm_topology.h"

#include <algorithm>
#include <string>
#include <utility>

#include "observe/procfs.h"
#include "observe/vm_entry.h"

namespace hvguard::observe {
namespace {

constexpr std::size_t kMaxPids = 8192;
constexpr std::size_t kMaxStatusReads = 512;  // per cgroup and pass

// Kernel threads in a VM's cgroup work for it: vhost-PID (until 6.3), kvm-pit, kvm-nx-lpage-re.
enum class Belongs { kYes, kNo, kGone };

Belongs belongs_to_vm(const HostRoot& root, Pid pid, std::span<char> buffer) {
  const auto text = read_file_at(root.proc(), std::to_string(pid) + "/status", buffer);
  const auto status = text ? parse_task_status(*text) : std::nullopt;
  if (!status || status->state == 'Z' || status->state == 'X') {
    return Belongs::kGone;
  }
  return !status->has_memory || is_vm_helper(status->comm) ? Belongs::kYes : Belongs::kNo;
}

}  // namespace

TopologyPass::TopologyPass(const HostRoot& root, std::function<bool(Pid)> is_vm)
    : root_(&root), is_vm_(std::move(is_vm)) {}

TopologyPass::Judged TopologyPass::judge(CgroupTree tree, std::span<char> buffer) const {
  Judged judged;
  std::sort(tree.pids.begin(), tree.pids.end());
  judged.truncated = tree.truncated;
  std::size_t reads = 0;
  for (const Pid pid : tree.pids) {
    if (is_vm_(pid)) {
      ++judged.vm_count;
    } else if (reads == kMaxStatusReads) {
      judged.truncated = true;
    } else {
      ++reads;
      judged.foreign_count += belongs_to_vm(*root_, pid, buffer) == Belongs::kNo ? 1U : 0U;
    }
  }
  judged.tree = std::move(tree);
  return judged;
}

Result<TopologyPass::View> TopologyPass::look(const VmCgroup& cgroup,
                                              Pid manager,
                                              std::span<char> buffer) {
  auto found = judged_.find(cgroup.id());
  if (found == judged_.end()) {
    auto tree = cgroup.read_tree(buffer, kMaxPids);
    if (!tree) {
      return fail(tree.error());
    }
    found = judged_.emplace(cgroup.id(), judge(std::move(*tree), buffer)).first;
  }
  const Judged& judged = found->second;
  View view;
  view.holds_manager =
      judged.truncated ||
      std::binary_search(judged.tree.pids.begin(), judged.tree.pids.end(), manager);
  view.topology.foreign_process_count = judged.foreign_count;
  view.topology.other_vm_count = judged.vm_count - (is_vm_(manager) && judged.vm_count > 0 ? 1 : 0);
  view.topology.missing_controllers = judged.tree.missing_controllers;
  view.cgroups = judged.tree.ids;
  view.truncated = judged.truncated;
  return view;
}

}  // namespace hvguard::observe
