#include "decide/safety_rules.h"

#include <array>
#include <limits>

namespace hvguard {
namespace {

using Answer = std::optional<Objection>;

Answer refuse(Obstacle obstacle) {
  return Objection{.obstacle = obstacle, .effect = Effect::kRefuse};
}

Answer nothing_new(Obstacle obstacle) {
  return Objection{.obstacle = obstacle, .effect = Effect::kNothingNew};
}

// Only if that is more than the wish.
Answer raise(Obstacle obstacle, const Wish& wish, std::uint64_t at_least) {
  if (wish.value >= at_least) {
    return std::nullopt;
  }
  return Objection{.obstacle = obstacle, .effect = Effect::kRaise, .at_least = at_least};
}

bool is_write(const Wish& wish) {
  return wish.kind() == LimitKind::kWriteBytes || wish.kind() == LimitKind::kWriteOperations;
}

bool is_io(const Wish& wish) {
  return is_per_device(wish.kind());
}

// A cgroup and one above it: what is set on the latter holds for the former.
bool lies_in(std::string_view path, std::string_view base) {
  return path.starts_with(base) && (path.size() == base.size() || path[base.size()] == '/');
}

bool overlap(std::string_view a, std::string_view b) {
  return lies_in(a, b) || lies_in(b, a);
}

// ---- the rules ---------------------------------------------------------------------------------

// io.max takes whole disks of this host only (a partition or an unknown one is ENODEV, and systemd
// says "done" all the same; facts A.2, B.1). Other settings have no device.
Answer device_fits(const SafetyWorld& world, Wish& wish) {
  if (!is_io(wish)) {
    return wish.key().device == DeviceId{} ? std::nullopt : refuse(Obstacle::kWrongDevice);
  }
  const bool can_be =
      world.input().snapshot == nullptr || world.devices().find(wish.key().device) != nullptr;
  return can_be ? std::nullopt : refuse(Obstacle::kWrongDevice);
}

// What the kernel or systemd refuses or takes for "no limit": io.max under 2 (facts B.1), weights
// out of 1 to 10000, memory.high, memory.max and pids.max of 0, all bits set (systemd's infinity).
Answer value_fits(const SafetyWorld& /*world*/, Wish& wish) {
  std::uint64_t least = 0;
  std::uint64_t most = std::numeric_limits<std::uint64_t>::max() - 1;
  switch (wish.kind()) {
    case LimitKind::kIoWeight:
    case LimitKind::kCpuWeight:
      least = 1;
      most = 10'000;
      break;
    case LimitKind::kReadBytes:
    case LimitKind::kReadOperations:
    case LimitKind::kWriteBytes:
    case LimitKind::kWriteOperations:
      least = 2;
      break;
    case LimitKind::kMemoryHigh:
    case LimitKind::kMemoryMax:
    case LimitKind::kPidsMax:
      least = 1;
      break;
    case LimitKind::kCpuMax:
      least = 1'000;  // microseconds: the kernel's least quota
      break;
    case LimitKind::kMemoryLow:
    case LimitKind::kSwapMax:
      break;
  }
  return wish.value >= least && wish.value <= most ? std::nullopt : refuse(Obstacle::kWrongValue);
}

// A manager that cannot start a thread stops its guest's IO or aborts (facts C.3).
Answer tasks_are_not_for_rules(const SafetyWorld& /*world*/, Wish& wish) {
  return wish.kind() == LimitKind::kPidsMax && wish.is_dynamic() ? refuse(Obstacle::kNeverDynamic)
                                                                 : std::nullopt;
}

// A VM that is gone has no cgroup. One that begins to stop must lose every limit before its cgroup
// goes: a dying cgroup keeps its limits and nobody can lift them any more (facts 0.3, B.6).
Answer vm_lives(const SafetyWorld& world, Wish& wish) {
  if (world.is_stopping(wish.key().vm)) {
    return refuse(Obstacle::kVmStopping);
  }
  const bool can_be = world.input().snapshot == nullptr || wish.vm != nullptr;
  return can_be ? std::nullopt : refuse(Obstacle::kVmGone);
}

// A limit on a unit holds for all that lives in it. Never for hvguard, PID 1, protected units,
// other VMs or strangers; nor where no unit and no cgroup is known: systemd takes an empty unit
// name for its caller's, which is hvguard (facts 0.4, A.2).
Answer cgroup_is_its_own(const SafetyWorld& world, Wish& wish) {
  const VmReading* const vm = wish.vm;
  if (vm == nullptr) {
    return nothing_new(Obstacle::kUnitNotKnown);
  }
  const SafetyInput& input = world.input();
  const std::string& path = vm->identity.cgroup_path;
  const std::string& unit = vm->identity.unit;
  if (path.empty() || path == "/") {
    return refuse(Obstacle::kNoCgroup);
  }
  if ((!input.own_unit.empty() && unit == input.own_unit) ||
      (!input.own_cgroup_path.empty() && overlap(path, input.own_cgroup_path))) {
    return refuse(Obstacle::kOwnUnit);
  }
  if (unit == "init.scope" || overlap(path, "/init.scope")) {
    return refuse(Obstacle::kInitUnit);
  }
  if (input.vms_in_protected_units.contains(wish.key().vm)) {
    return refuse(Obstacle::kProtectedUnit);
  }
  if (vm->topology.other_vm_count.value_or(0) > 0 ||
      vm->topology.foreign_process_count.value_or(0) > 0) {
    return refuse(Obstacle::kSharedUnit);
  }
  if (!vm->topology.other_vm_count || !vm->topology.foreign_process_count ||
      input.own_cgroup_path.empty()) {
    return nothing_new(Obstacle::kUnitNotKnown);
  }
  return std::nullopt;
}

// Protected VMs are victims, never culprits; what their class gives them is the operator's word.
Answer vm_is_not_protected(const SafetyWorld& world, Wish& wish) {
  return wish.is_dynamic() && world.input().protected_vms.contains(wish.key().vm)
             ? refuse(Obstacle::kProtectedVm)
             : std::nullopt;
}

// A dynamic limit lives until its expire_time. An open incident renews that of a guard rule, on
// fresh data only; that of people has a fixed end.
Answer lease_runs(const SafetyWorld& world, Wish& wish) {
  const BootTime now = world.input().now;
  if (!wish.is_dynamic()) {
    wish.expire_time.reset();
    return std::nullopt;
  }
  if (wish.asked->origin == LimitOrigin::kGuardRule) {
    const bool open = world.is_open(wish.asked->incident_id);
    // Of the same incident: another one's lease is not its own.
    const bool held = wish.held != nullptr && wish.held->origin == LimitOrigin::kGuardRule &&
                      wish.held->incident_id == wish.asked->incident_id;
    if (open && world.is_fresh()) {
      wish.expire_time = now + world.config().lease;
    } else if (held) {
      wish.expire_time = wish.held->expire_time;
    } else {
      return refuse(open ? Obstacle::kStaleData : Obstacle::kNoIncident);
    }
  }
  if (!wish.expire_time) {
    return refuse(Obstacle::kNoLease);
  }
  if (*wish.expire_time <= now) {
    return refuse(Obstacle::kLeaseEnded);
  }
  const bool by_people = wish.asked->origin != LimitOrigin::kGuardRule;
  return by_people && *wish.expire_time - now > world.config().max_lease
             ? refuse(Obstacle::kLeaseTooLong)
             : std::nullopt;
}

// A throttled write holds the journal of its file system, and whoever waits for that: jbd2, the
// writeback of others, the host (facts 0.1, B.6). Baselines included.
Answer write_is_allowed(const SafetyWorld& world, Wish& wish) {
  if (!is_write(wish)) {
    return std::nullopt;
  }
  if (!world.config().allow_write_limits) {
    return refuse(Obstacle::kWriteLimit);
  }
  return world.input().devices_without_shared_journal.contains(wish.key().device)
             ? std::nullopt
             : refuse(Obstacle::kSharedJournal);
}

// Swapping is done on behalf of anyone: a limit on its disk hung processes of other cgroups
// (facts B.7). systemd puts a limit on an LV onto the disk beneath, so that its neighbours count
// (facts A.2).
Answer device_holds_no_swap(const SafetyWorld& world, Wish& wish) {
  if (!is_io(wish)) {
    return std::nullopt;
  }
  if (!world.swap_is_known()) {
    return nothing_new(Obstacle::kSwapNotKnown);
  }
  return world.holds_swap(wish.key().device) ? refuse(Obstacle::kSwapDevice) : std::nullopt;
}

// drain_floor.h; facts 0.1, B.5, B.8.
Answer value_is_over_the_floor(const SafetyWorld& world, Wish& wish) {
  if (is_io(wish)) {
    return raise(Obstacle::kBelowFloor, wish, world.io_floor_of(wish.key()));
  }
  const VmReading* const vm = wish.vm;
  if (wish.kind() != LimitKind::kCpuMax || vm == nullptr) {
    return std::nullopt;
  }
  if (const auto raised = raise(Obstacle::kBelowFloor, wish, world.least_cpu(*vm))) {
    return raised;
  }
  return vm->identity.vcpu_count ? std::nullopt : nothing_new(Obstacle::kVcpusNotKnown);
}

// memory.max below what is used is an OOM kill, memory.high there a stalled guest and a writer that
// reclaims for seconds (facts C.1, C.2); a pids.max of less than there are is none to live with.
// What holds may be reached: that is what it is for.
Answer value_is_over_the_use(const SafetyWorld& /*world*/, Wish& wish) {
  const VmReading* const vm = wish.vm;
  const LimitKind kind = wish.kind();
  const bool of_memory = kind == LimitKind::kMemoryHigh || kind == LimitKind::kMemoryMax;
  if (!of_memory && kind != LimitKind::kPidsMax) {
    return std::nullopt;
  }
  if (vm == nullptr || !vm->cgroup) {
    return nothing_new(Obstacle::kUseNotKnown);
  }
  const auto& used = of_memory ? vm->cgroup->memory_bytes : vm->cgroup->pids_count;
  if (!used) {
    return nothing_new(Obstacle::kUseNotKnown);
  }
  return wish.value < *used ? nothing_new(Obstacle::kBelowUse) : std::nullopt;
}

// No decision on old data; none on IO, and none of a guard rule or a person, while blocked tasks or
// block IO are not seen as they should be: nobody would notice who waits behind it.
Answer data_are_good(const SafetyWorld& world, Wish& wish) {
  if (!world.is_fresh()) {
    return nothing_new(Obstacle::kStaleData);
  }
  return (is_io(wish) || wish.is_dynamic()) && !world.sees_io()
             ? nothing_new(Obstacle::kBlindSource)
             : std::nullopt;
}

// throttle_chain.h. A limit that is only said is in nobody's way.
Answer nobody_waits_behind_it(const SafetyWorld& world, Wish& wish) {
  if (!is_io(wish) || wish.asked->dry_run) {
    return std::nullopt;
  }
  const LoosenedLimit* const loosened = world.loosened(wish.key());
  if (loosened == nullptr) {
    return std::nullopt;
  }
  return loosened->dropped ? refuse(Obstacle::kInTheWay)
                           : raise(Obstacle::kInTheWay, wish, loosened->at_least);
}

// Those that let nothing new pass come after those that raise, so that they compare with what would
// really be set; who waits behind a limit comes last, since that overrides all.
constexpr std::array<SafetyRule, 13> kRules = {device_fits,
                                               value_fits,
                                               tasks_are_not_for_rules,
                                               vm_lives,
                                               cgroup_is_its_own,
                                               vm_is_not_protected,
                                               lease_runs,
                                               write_is_allowed,
                                               value_is_over_the_floor,
                                               device_holds_no_swap,
                                               value_is_over_the_use,
                                               data_are_good,
                                               nobody_waits_behind_it};

}  // namespace

std::span<const SafetyRule> safety_rules() {
  return kRules;
}

}  // namespace hvguard
