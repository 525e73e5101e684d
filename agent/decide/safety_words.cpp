#include "decide/safety_words.h"

#include <fmt/format.h>

#include "base/text.h"
#include "decide/blast_radius.h"
#include "decide/limit_words.h"

namespace hvguard {
namespace {

std::string unit_of(const Wish& wish) {
  return wish.vm == nullptr || wish.vm->identity.unit.empty()
             ? std::string("its cgroup")
             : safe_text(wish.vm->identity.unit, 128);
}

std::string floor_words(const SafetyWorld& world, const Objection& objection, const Wish& wish) {
  const std::string at_least = format_limit(wish.kind(), objection.at_least);
  const std::string asked = format_limit(wish.kind(), wish.value);
  if (wish.kind() == LimitKind::kCpuMax) {
    return fmt::format(
        "{} is below the floor for its vCPUs, {} is taken instead: a manager throttled more could "
        "hold locks of the kernel for too long ([safety] min_cpu_cores_per_vcpu)",
        asked,
        at_least);
  }
  return fmt::format(
      "{} is below the floor, {} is taken instead: what a VM can have in flight must drain within "
      "{:.0f} % of the hung-task timeout, or killing it could hang the host ([safety])",
      asked,
      at_least,
      world.config().drain_ratio * 100);
}

std::string source_words(const SafetyWorld& world) {
  for (const Source source : {Source::kTasks, Source::kBlockIo}) {
    const SourceStatus& status = world.input().snapshot->source(source);
    if (status.state != SourceState::kOk) {
      return fmt::format(
          "nothing new while {} are not seen as they should be: nobody would notice who waits "
          "behind a limit; see the incident agent_blind",
          source == Source::kTasks ? "blocked tasks" : "requests in flight");
    }
  }
  return "nothing new while the sources are not well; see the incident agent_blind";
}

}  // namespace

std::string explain(const SafetyWorld& world, const Objection& objection, const Wish& wish) {
  const std::string device =
      is_per_device(wish.kind()) ? world.devices().name_of(wish.key().device) : "";
  switch (objection.obstacle) {
    case Obstacle::kWrongDevice:
      return is_per_device(wish.kind())
                 ? fmt::format("{} is no whole disk of this host; see lsblk", device)
                 : fmt::format("{} is for the whole VM: name no device", to_string(wish.kind()));
    case Obstacle::kWrongValue:
      return fmt::format("the kernel does not take {} for {}", wish.value, to_string(wish.kind()));
    case Obstacle::kNeverDynamic:
      return "pids.max is for classes only: a manager that cannot start a thread stops its guest";
    case Obstacle::kVmGone:
      return "the VM is gone";
    case Obstacle::kVmStopping:
      return "the VM begins to stop: it has no limits any more, since a dying cgroup would keep "
             "them where nobody can lift them";
    case Obstacle::kNoCgroup:
      return "the VM has no cgroup of its own; start it in a unit of its own";
    case Obstacle::kOwnUnit:
      return fmt::format("{} is hvguard's own; start the VM in a unit of its own", unit_of(wish));
    case Obstacle::kInitUnit:
      return "the VM lives in init.scope with PID 1; start it in a unit of its own";
    case Obstacle::kProtectedUnit:
      return fmt::format("{} is protected ([policy] protected_units)", unit_of(wish));
    case Obstacle::kSharedUnit:
      return fmt::format(
          "{} holds other VMs or processes, which a limit would hit as well; start each VM in a "
          "unit of its own",
          unit_of(wish));
    case Obstacle::kUnitNotKnown:
      return fmt::format("not yet: who else lives in {} is not known", unit_of(wish));
    case Obstacle::kProtectedVm:
      return "the VM is protected: only its class limits it";
    case Obstacle::kNoIncident:
      return "no open incident calls for it";
    case Obstacle::kNoLease:
      return "a limit that is no baseline needs a lease";
    case Obstacle::kLeaseEnded:
      return "its lease has ended";
    case Obstacle::kLeaseTooLong:
      return fmt::format("its lease is longer than {} ([safety] max_lease)",
                         format_duration(world.config().max_lease));
    case Obstacle::kWriteLimit:
      return "write limits are not allowed on this host: a throttled write can hold a journal that "
             "others wait for ([safety] allow_write_limits)";
    case Obstacle::kSharedJournal:
      return fmt::format("{} may carry a journal that others write to", device);
    case Obstacle::kSwapDevice:
      return fmt::format("swap lies on {} or on a disk beneath it: throttled swap hangs anyone",
                         device);
    case Obstacle::kSwapNotKnown:
      return "no new io limit: which disk swap lies on is not known; a swap file hides it, a swap "
             "partition or volume does not";
    case Obstacle::kBelowFloor:
      return floor_words(world, objection, wish);
    case Obstacle::kVcpusNotKnown:
      return "not yet: the number of its vCPUs is not known, and with it the floor";
    case Obstacle::kBelowUse:
      return fmt::format("not while the VM uses more than {} already: it would stall or be killed",
                         format_limit(wish.kind(), wish.value));
    case Obstacle::kUseNotKnown:
      return "not yet: what the VM uses is not known";
    case Obstacle::kStaleData:
      return fmt::format("nothing new on data older than {}", format_duration(kSafetyMaxAge));
    case Obstacle::kBlindSource:
      return source_words(world);
    case Obstacle::kInTheWay:
      return objection.effect == Effect::kRaise
                 ? fmt::format("somebody waits behind it: loosened to {} at least",
                               format_limit(wish.kind(), objection.at_least))
                 : fmt::format("somebody waits behind it: none here until nobody has for {}",
                               format_duration(kThrottleCalmFor));
    case Obstacle::kTooManyVms:
      return fmt::format(
          "{} of {} VMs may be limited at once, and others are ([safety] "
          "max_limited_vm_ratio)",
          max_limited_vms(world.config(), world.vm_count()),
          world.vm_count());
    case Obstacle::kTooManyChanges:
      return fmt::format(
          "{} changes a minute are made already ([safety] "
          "max_changes_per_minute)",
          world.config().max_changes_per_minute);
  }
  return "a safety rule is against it";
}

std::string reason_of(const Limit& limit) {
  const auto who = [&]() -> std::string_view {
    switch (limit.origin) {
      case LimitOrigin::kBaseline:
        return "baseline of its class";
      case LimitOrigin::kGuardRule:
        return "guard rule";
      case LimitOrigin::kOperator:
        return "wanted by an operator";
      case LimitOrigin::kControlPlane:
        return "wanted by the control plane";
    }
    return "wanted";
  }();
  return limit.reason.empty() ? std::string(who) : fmt::format("{}: {}", who, limit.reason);
}

}  // namespace hvguard
