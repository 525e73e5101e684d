// What else lives in the cgroups of VMs. One pass serves all VMs, since many may share a cgroup;
// called by VmFinder with each rescan on the sampler thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>

#include "base/ids.h"
#include "model/vm.h"
#include "observe/host_root.h"
#include "observe/vm_cgroup.h"

namespace hvguard::observe {

class TopologyPass {
 public:
  // `is_vm` says whether a process is a VM manager that is shown.
  TopologyPass(const HostRoot& root, std::function<bool(Pid)> is_vm);

  struct View {
    VmTopology topology;
    std::vector<CgroupId> cgroups;
    bool holds_manager = true;  // false: it has been moved to another cgroup
    bool truncated = false;     // counts are lower bounds
  };
  [[nodiscard]] Result<View> look(const VmCgroup& cgroup, Pid manager, std::span<char> buffer);

 private:
  struct Judged {
    CgroupTree tree;
    std::uint32_t foreign_count = 0;
    std::uint32_t vm_count = 0;
    bool truncated = false;
  };
  [[nodiscard]] Judged judge(CgroupTree tree, std::span<char> buffer) const;

  const HostRoot* root_;
  std::function<bool(Pid)> is_vm_;
  std::map<CgroupId, Judged> judged_;
};

}  // namespace hvguard::observe
