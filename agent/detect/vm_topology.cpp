#include "detect/vm_topology.h"

#include <algorithm>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace hvguard {
namespace {

using Problem = VmTopologyEvidence::Problem;

// Once over the bound, the count must fall this much below it to be fine again.
constexpr double kPidsHysteresis = 0.9;

// Units that exist for one VM alone: libvirt's and machined's scopes, Proxmox' scopes.
bool is_scope_of_a_vm(std::string_view unit) {
  return unit.ends_with(".scope");
}

bool has_unit(const VmIdentity& identity) {
  return !identity.unit.empty();
}

bool is_shared(const VmReading& vm) {
  const bool alone_in_unit = has_unit(vm.identity) || vm.identity.cgroup_path.size() > 1;
  return !alone_in_unit || vm.topology.other_vm_count.value_or(0) > 0 ||
         vm.topology.foreign_process_count.value_or(0) > 0;
}

// Stopping or restarting a service with KillMode=control-group kills all in it; for a scope or
// service that is the VM's own that is right.
bool dies_with_unit(const VmReading& vm) {
  return is_shared(vm) && has_unit(vm.identity) && !is_scope_of_a_vm(vm.identity.unit) &&
         vm.identity.kill_mode == "control-group";
}

// Without io and memory a VM cannot be limited, and its IO is told apart only by the submitter.
std::vector<std::string> needed_controllers(const VmReading& vm) {
  std::vector<std::string> missing;
  for (const std::string& controller : vm.topology.missing_controllers) {
    if (controller == "io" || controller == "memory") {
      missing.push_back(controller);
    }
  }
  return missing;
}

bool pids_are_short(const VmTopologyConfig& config, VmTopologyState& state, const VmReading& vm) {
  if (!vm.cgroup || !vm.cgroup->pids_count || !vm.cgroup->pids_max || *vm.cgroup->pids_max == 0) {
    return false;
  }
  bool& high = state.pids_high[vm.id];
  const double bound = config.pids_headroom_ratio * (high ? kPidsHysteresis : 1);
  high = static_cast<double>(*vm.cgroup->pids_count) >=
         bound * static_cast<double>(*vm.cgroup->pids_max);
  return high;
}

std::string parent_of(std::string_view cgroup_path) {
  const auto slash = cgroup_path.rfind('/');
  return slash == std::string_view::npos ? "" : std::string(cgroup_path.substr(0, slash));
}

std::string own_scope_remedy(const VmReading& vm) {
  return fmt::format(
      "give VM {} a unit of its own: start it with 'systemd-run --scope --slice=machine.slice "
      "-p Delegate=yes -p IOAccounting=yes -p MemoryAccounting=yes qemu-system-…', or through "
      "libvirt or machined",
      vm.identity.name);
}

// One sentence on what is wrong, one on what to do, per problem.
struct Text {
  std::string wrong;
  std::string remedy;

  void add(std::string_view wrong_part, std::string_view remedy_part) {
    wrong += fmt::format("{}{}", wrong.empty() ? "" : "; ", wrong_part);
    if (remedy.find(remedy_part) == std::string::npos) {
      remedy += fmt::format("{}{}", remedy.empty() ? "" : "; ", remedy_part);
    }
  }
};

void add_shared(Text& text, const VmReading& vm) {
  std::string wrong;
  if (!has_unit(vm.identity)) {
    wrong = "it runs outside of any systemd unit";
  } else if (vm.topology.other_vm_count.value_or(0) > 0) {
    wrong = fmt::format("it shares unit {} with other VMs", vm.identity.unit);
  } else {
    wrong = fmt::format("it runs in unit {} together with other processes", vm.identity.unit);
  }
  text.add(wrong + ", so it cannot be limited alone", own_scope_remedy(vm));
}

void add_controllers(Text& text, const VmReading& vm, const std::vector<std::string>& missing) {
  std::string names;
  std::string enable;
  for (const std::string& controller : missing) {
    names += (names.empty() ? "" : ", ") + controller;
    enable += (enable.empty() ? "+" : " +") + controller;
  }
  const bool plural = missing.size() > 1;
  std::string remedy;
  if (has_unit(vm.identity)) {
    remedy =
        fmt::format("systemctl set-property --runtime {} IOAccounting=yes MemoryAccounting=yes",
                    vm.identity.unit);
  } else {
    remedy = fmt::format("echo '{}' > /sys/fs/cgroup{}/cgroup.subtree_control",
                         enable,
                         parent_of(vm.identity.cgroup_path));
  }
  text.add(fmt::format("the cgroup controller{} {} {} not enabled for it",
                       plural ? "s" : "",
                       names,
                       plural ? "are" : "is"),
           remedy);
}

void add_kill_mode(Text& text, const VmReading& vm) {
  text.add(
      fmt::format("stopping unit {} kills it (KillMode=control-group)", vm.identity.unit),
      fmt::format("systemctl edit {}, with '[Service]' and 'KillMode=process'", vm.identity.unit));
}

void add_pids(Text& text, const VmReading& vm) {
  const auto wanted = *vm.cgroup->pids_max * 2;
  const std::string remedy =
      has_unit(vm.identity)
          ? fmt::format("systemctl set-property {} TasksMax={}", vm.identity.unit, wanted)
          : fmt::format("echo {} > /sys/fs/cgroup{}/pids.max", wanted, vm.identity.cgroup_path);
  text.add(fmt::format("its cgroup is near its limit of {} tasks", *vm.cgroup->pids_max), remedy);
}

}  // namespace

std::vector<Finding> detect_vm_topology(const VmTopologyConfig& config,
                                        VmTopologyState& state,
                                        const Snapshot& snapshot) {
  std::vector<Finding> findings;
  std::map<VmId, bool> still_there;
  for (const VmReading& vm : snapshot.vms) {
    if (!vm.identity.probed) {
      continue;
    }
    VmTopologyEvidence evidence;
    Text text;
    Severity severity = Severity::kInfo;
    if (is_shared(vm)) {
      evidence.problems.push_back(Problem::kSharedUnit);
      add_shared(text, vm);
    }
    if (dies_with_unit(vm)) {
      evidence.problems.push_back(Problem::kKillMode);
      add_kill_mode(text, vm);
      severity = Severity::kWarning;
    }
    if (const auto missing = needed_controllers(vm); !missing.empty()) {
      evidence.problems.push_back(Problem::kMissingControllers);
      add_controllers(text, vm, missing);
    }
    if (pids_are_short(config, state, vm)) {
      evidence.problems.push_back(Problem::kPidsHeadroom);
      add_pids(text, vm);
      severity = Severity::kWarning;
    }
    if (const auto at = state.pids_high.find(vm.id); at != state.pids_high.end()) {
      still_there.insert(*at);
    }
    if (evidence.problems.empty()) {
      continue;
    }
    evidence.remedy = text.remedy + ".";
    Finding finding;
    finding.kind = IncidentKind::kVmTopology;
    finding.subject = {.key = "vm:" + to_string(vm.id),
                       .label = "VM " + vm.identity.name,
                       .vm = vm.id,
                       .device = std::nullopt};
    finding.severity = severity;
    finding.event_time = vm.found_time;
    finding.summary = fmt::format("VM {}: {}.", vm.identity.name, text.wrong);
    finding.evidence = std::move(evidence);
    findings.push_back(std::move(finding));
  }
  state.pids_high = std::move(still_there);
  return findings;
}

}  // namespace hvguard
