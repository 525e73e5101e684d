// One process that is, or may be, a VM manager, from its first sign to its exit: what VmFinder
// knows of it beside the VmReading that is shown. The functions here are pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/time.h"
#include "model/config.h"
#include "model/vm.h"
#include "observe/probe_client.h"
#include "observe/vm_cgroup.h"

namespace hvguard::observe {

// A sign that a process may be a VM manager.
struct Candidate {
  Pid tgid = 0;
  bool holds_kvm_vm = false;       // seen among its descriptors, or KVM said so
  bool exec_seen = false;          // it has just executed something: what was known is old
  std::optional<BootTime> start;   // by eBPF, task_struct.start_boottime
  std::optional<CgroupId> cgroup;  // by eBPF, v2 cgroup of the leader
  std::string executable;          // by eBPF, raw base name; empty if not known
};

struct VmEntry {
  VmReading reading;
  std::string comm;  // raw
  UniqueFd pidfd;    // none in a fixture tree
  bool visible = false;
  bool holds_kvm_vm = false;
  std::optional<BootTime> start;
  std::optional<CgroupId> leaf_cgroup;
  std::optional<VmCgroup> cgroup;
  std::string cgroup_error;  // why there is none although the path is known
  std::string command_line_name;
  std::string machine_name;

  bool probe_pending = false;
  bool bus_asked = false;
  std::uint32_t failed_probes = 0;
  std::optional<BootTime> last_probe;  // when the last one was asked for
  std::optional<BootTime> probe_again;
};

// A VM is shown at the latest this long after its first sign, with what is known by then.
inline constexpr Nanoseconds kShowAfter = std::chrono::milliseconds(500);

// 10 s, doubled with each failure, at most 5 min.
[[nodiscard]] Nanoseconds probe_back_off(std::uint32_t failed_probes);

// Does the result, or what is known already, make this a VM manager? Without an executable the
// comm that made it a candidate decides. One that only tells libvirt what it could do is none,
// though it may hold a KVM VM for that.
[[nodiscard]] bool is_vm_manager(const VmEntry& entry,
                                 const ProbeResult& result,
                                 const VmFinderConfig& config);

// Takes over what the probe found: identity fields, not the cgroup's files.
void apply_probe(VmEntry& entry, const ProbeResult& result);
// Takes over KillMode and machined's name.
void apply_bus(VmEntry& entry, const ProbeResult& result);
// The best name known, and where it is from (BEHAVIOUR.md section 1, "Name").
void choose_name(VmEntry& entry);
// Sets VmReading::id; to be called once, before the entry becomes visible: an identity never
// changes, even if the process is moved to another cgroup later. The start is cut to the 10 ms in
// which /proc gives it, so that it is the same with and without eBPF.
void fix_identity(VmEntry& entry);

// Who else lives in the VM's cgroup; kUnknown until its processes have been counted.
enum class Neighbours { kUnknown, kNone, kSome };
[[nodiscard]] Neighbours neighbours_of(const VmReading& reading);

// By a submitting process or by the bio's cgroup.
[[nodiscard]] IoAttribution attribution_of(const VmReading& reading);

// Processes that VM managers start beside themselves, as libvirt and Proxmox put them into the
// VM's scope: no foreigners there.
[[nodiscard]] bool is_vm_helper(std::string_view comm);

}  // namespace hvguard::observe
