// Whatever anyone wants in whatever state of the host: what safety gives out breaks none of its
// rules, says all it changes, and asks for nothing more when asked again. The rules are written
// down here a second time, in other words than in agent/decide.
#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <optional>
#include <set>

#include "safety_world.h"

namespace hvguard::test {
namespace {

using Limits = std::map<LimitKey, Limit>;

Limits by_key(const DesiredLimits& limits) {
  Limits map;
  for (const Limit& limit : limits) {
    RC_ASSERT((map.empty() || std::prev(map.end())->first < limit.key));  // sorted, each once
    map.emplace(limit.key, limit);
  }
  return map;
}

bool is_dynamic(const Limit& limit) {
  return limit.origin != LimitOrigin::kBaseline;
}
bool is_io(const Limit& limit) {
  return is_per_device(limit.key.kind);
}

// Holds back more than what held before.
bool is_new_or_tighter(const Limits& before, const Limit& limit) {
  const auto old = before.find(limit.key);
  return old == before.end() || old->second.dry_run != limit.dry_run ||
         is_tighter(limit.key.kind, limit.value, old->second.value);
}

const VmReading* find_vm(const RandomWorld& world, const VmId& id) {
  for (const VmReading& vm : world.snapshot().vms) {
    if (vm.id == id) {
      return &vm;
    }
  }
  return nullptr;
}

void check_value(const RandomWorld& world, const Limit& limit, const VmReading& vm) {
  const auto value = static_cast<double>(limit.value);
  const auto timeout = static_cast<double>(*world.snapshot().host.hung_task->timeout_seconds);
  switch (limit.key.kind) {
    case LimitKind::kReadBytes:
      RC_ASSERT(limit.value >= world.config.min_read_bytes);
      RC_ASSERT(timeout * value / 4 >= 0.999 * (timeout > 0 ? 256.0 * 1048576 : 0));
      break;
    case LimitKind::kWriteBytes:
      RC_ASSERT(limit.value >= world.config.min_write_bytes);
      RC_ASSERT(timeout * value / 4 >= 0.999 * (timeout > 0 ? 256.0 * 1048576 : 0));
      break;
    case LimitKind::kReadOperations:
    case LimitKind::kWriteOperations:
      RC_ASSERT(limit.value >= 200U);
      break;
    case LimitKind::kIoWeight:
    case LimitKind::kCpuWeight:
      RC_ASSERT((limit.value >= 1 && limit.value <= 10'000));
      break;
    case LimitKind::kCpuMax:
      RC_ASSERT(limit.value >= 300'000U * vm.identity.vcpu_count.value_or(1));
      break;
    default:
      break;
  }
}

void check_whose(const RandomWorld& world, const Limit& limit, const VmReading& vm) {
  const std::string& path = vm.identity.cgroup_path;
  RC_ASSERT(path.starts_with("/machine.slice/"));  // the only good ones in these worlds
  RC_ASSERT(vm.identity.unit != "hvguardd.service");
  RC_ASSERT(vm.identity.unit != "init.scope");
  RC_ASSERT(vm.topology.other_vm_count == std::optional(0U));
  RC_ASSERT(vm.topology.foreign_process_count == std::optional(0U));
  RC_ASSERT(!world.input.vms_in_protected_units.contains(vm.id));
  RC_ASSERT(!(is_dynamic(limit) && world.input.protected_vms.contains(vm.id)));
}

void check_device(const RandomWorld& world, const Limits& before, const Limit& limit) {
  if (!is_io(limit)) {
    RC_ASSERT((limit.key.device == DeviceId{}));
    return;
  }
  RC_ASSERT((limit.key.device != kDevices.back()));
  const bool is_write =
      limit.key.kind == LimitKind::kWriteBytes || limit.key.kind == LimitKind::kWriteOperations;
  RC_ASSERT(!is_write || (world.config.allow_write_limits &&
                          world.input.devices_without_shared_journal.contains(limit.key.device)));
  const auto& swap = world.snapshot().host.swap_devices;
  RC_ASSERT(swap || !is_new_or_tighter(before, limit));
  for (const DeviceId one : swap.value_or(std::vector<DeviceId>())) {
    RC_ASSERT(!on_one_disk(one, limit.key.device));
  }
}

void check_knowledge(const RandomWorld& world,
                     const Limits& before,
                     const Limit& limit,
                     const VmReading& vm) {
  if (!is_new_or_tighter(before, limit)) {
    return;
  }
  RC_ASSERT(world.is_fresh());
  RC_ASSERT(world.sees_io() || !(is_io(limit) || is_dynamic(limit)));
  if (limit.key.kind == LimitKind::kMemoryHigh || limit.key.kind == LimitKind::kMemoryMax) {
    RC_ASSERT(vm.cgroup->memory_bytes.has_value());
    RC_ASSERT(limit.value >= *vm.cgroup->memory_bytes);
  }
  if (limit.key.kind == LimitKind::kPidsMax) {
    RC_ASSERT(!is_dynamic(limit));
    RC_ASSERT(limit.value >= *vm.cgroup->pids_count);
  }
}

void check_lease(const RandomWorld& world, const Limits& before, const Limit& limit) {
  RC_ASSERT(is_dynamic(limit) == limit.expire_time.has_value());
  if (!is_dynamic(limit)) {
    return;
  }
  RC_ASSERT(*limit.expire_time > world.input.now);
  if (limit.origin != LimitOrigin::kGuardRule) {
    return;
  }
  RC_ASSERT(*limit.expire_time - world.input.now <= seconds(60));
  if (!world.is_open(limit.incident_id) || !world.is_fresh()) {
    const auto old = before.find(limit.key);
    RC_ASSERT((old != before.end() && old->second.origin == LimitOrigin::kGuardRule));
    RC_ASSERT(old->second.incident_id == limit.incident_id);
    RC_ASSERT(old->second.expire_time == limit.expire_time);  // not renewed
  }
}

// Wanted by someone, and held back no more than that.
void check_wanted(const RandomWorld& world, const Limit& limit) {
  RC_ASSERT(
      std::any_of(world.input.wanted.begin(), world.input.wanted.end(), [&](const Limit& wanted) {
        return wanted.key == limit.key && wanted.origin == limit.origin &&
               wanted.dry_run == limit.dry_run &&
               !is_tighter(limit.key.kind, limit.value, wanted.value);
      }));
}

// Who waits behind an io limit, in these worlds: a task of the VM in hard D, or for writes one of
// no VM, that waits for a disk or a journal.
bool somebody_waits(const RandomWorld& world, const LimitKey& key) {
  const auto timeout = *world.snapshot().host.hung_task->timeout_seconds;
  const double patience = timeout == 0 ? 30.0 : std::min(30.0, static_cast<double>(timeout) / 4);
  const bool is_write =
      key.kind == LimitKind::kWriteBytes || key.kind == LimitKind::kWriteOperations;
  const auto& blocked = world.snapshot().tasks->blocked;
  for (std::size_t i = 0; i < blocked.size(); ++i) {
    const auto& vm = world.facts().vm_of_blocked[i];
    if (blocked[i].blocked_class == BlockedClass::kHard &&
        blocked[i].stack[0] != "kvm_vm_release" &&
        to_seconds(world.input.now - *blocked[i].off_cpu_since) >= patience &&
        (vm ? *vm == key.vm : is_write)) {
      return true;
    }
  }
  return false;
}

// What holds for every limit that somebody was found waiting behind.
class WaitersWitness {
 public:
  void check(const RandomWorld& world, const Limits& before, const Limits& now) {
    for (const auto& [key, old] : before) {
      if (!is_io(old) || old.dry_run || !somebody_waits(world, key)) {
        continue;
      }
      const auto after = now.find(key);
      const bool is_first = !last_seen_.contains(key);
      RC_ASSERT((after == now.end() || after->second.dry_run ||
                 after->second.value >= (is_first ? 2 * old.value : old.value)));
    }
    for (const auto& [key, limit] : now) {
      if (!is_io(limit) || limit.dry_run) {
        continue;
      }
      const auto seen = last_seen_.find(key);
      const bool recently =
          seen != last_seen_.end() && world.input.now - seen->second < seconds(60);
      RC_ASSERT(!((recently || somebody_waits(world, key)) && is_new_or_tighter(before, limit) &&
                  !was_looser_once(key, limit.value)));
    }
    for (const auto& [key, limit] : before) {
      if (is_io(limit) && !limit.dry_run && somebody_waits(world, key)) {
        if (!last_seen_.contains(key) || world.input.now - last_seen_[key] >= seconds(60)) {
          first_value_[key] = limit.value;
        }
        last_seen_[key] = world.input.now;
      }
    }
  }

 private:
  // Policy may come back to what loosening had reached, not below.
  [[nodiscard]] bool was_looser_once(const LimitKey& key, std::uint64_t value) const {
    const auto at = first_value_.find(key);
    return at != first_value_.end() && value >= 2 * at->second;
  }

  std::map<LimitKey, BootTime> last_seen_;
  std::map<LimitKey, std::uint64_t> first_value_;  // that was found in the way
};

// At most so many VMs, and so many changes in any minute.
class BoundsWitness {
 public:
  void check(const RandomWorld& world, const Limits& before, const Limits& now) {
    std::set<VmId> limited;
    std::set<LimitKey> changes;
    for (const auto& [key, limit] : now) {
      if (is_dynamic(limit)) {
        limited.insert(key.vm);
        if (is_new_or_tighter(before, limit)) {
          LimitKey change = key;
          change.kind = is_io(limit) ? LimitKind::kReadBytes : key.kind;
          changes.insert(change);
        }
      }
    }
    RC_ASSERT(limited.size() <= std::max<std::size_t>(1, world.snapshot().vms.size() / 4));
    changes_.insert(changes_.end(), changes.size(), world.input.now);
    while (!changes_.empty() && world.input.now - changes_.front() >= seconds(60)) {
      changes_.pop_front();
    }
    RC_ASSERT(changes_.size() <= world.config.max_changes_per_minute);
  }

 private:
  std::deque<BootTime> changes_;
};

// What the decisions alone make of what held before.
void check_decisions(const Limits& before, const Limits& now, const SafeLimits& out) {
  std::map<LimitKey, std::pair<std::uint64_t, bool>> said;
  for (const auto& [key, limit] : before) {
    said.emplace(key, std::pair(limit.value, limit.dry_run));
  }
  for (const Decision& decision : out.decisions) {
    RC_ASSERT(!decision.reason.empty());
    const LimitKey key{.vm = decision.vm.value(),
                       .kind = decision.kind.value(),
                       .device = decision.device.value_or(DeviceId{})};
    if (decision.step == DecisionStep::kRemoved) {
      RC_ASSERT(said.erase(key) == 1);
    } else if (decision.step != DecisionStep::kRefused) {
      RC_ASSERT((decision.step == DecisionStep::kSet) == !said.contains(key));
      said[key] = std::pair(decision.value.value(), decision.dry_run);
    }
  }
  RC_ASSERT(said.size() == now.size());
  for (const auto& [key, limit] : now) {
    RC_ASSERT((said.at(key) == std::pair(limit.value, limit.dry_run)));
  }
}

RC_GTEST_PROP(Safety, BreaksNoRuleWhateverIsWanted, ()) {
  RandomWorld world;
  SafetyState state;
  WaitersWitness waiters;
  BoundsWitness bounds;
  std::set<VmId> stopping;
  Limits before;
  for (int tick = 0; tick < 40; ++tick) {
    world.advance();
    stopping.insert(world.input.stopping_vms.begin(), world.input.stopping_vms.end());
    const SafeLimits out = make_safe(world.config, state, world.input);
    const Limits now = by_key(out.limits);
    for (const auto& [key, limit] : now) {
      const VmReading* const vm = find_vm(world, key.vm);
      RC_ASSERT(vm != nullptr);
      RC_ASSERT(!stopping.contains(key.vm));
      check_value(world, limit, *vm);
      check_whose(world, limit, *vm);
      check_device(world, before, limit);
      check_knowledge(world, before, limit, *vm);
      check_lease(world, before, limit);
      check_wanted(world, limit);
    }
    waiters.check(world, before, now);
    bounds.check(world, before, now);
    check_decisions(before, now, out);
    RC_ASSERT(std::count_if(out.decisions.begin(), out.decisions.end(), [](const Decision& one) {
                return one.step == DecisionStep::kRefused;
              }) <= static_cast<std::ptrdiff_t>(kMaxRefusalsPerTick));
    before = now;
  }
}

RC_GTEST_PROP(Safety, GivesTheSameForItsOwnOutput, ()) {
  RandomWorld world;
  SafetyState state;
  for (int tick = 0; tick < 40; ++tick) {
    world.advance();
    const SafeLimits first = make_safe(world.config, state, world.input);
    const std::vector<Limit> wanted = world.input.wanted;
    world.input.wanted = first.limits;
    const SafeLimits second = make_safe(world.config, state, world.input);
    RC_ASSERT((second.limits == first.limits));
    RC_ASSERT((second.decisions.empty() || second.decisions[0].step == DecisionStep::kRefused));
    world.input.wanted = wanted;
  }
}

RC_GTEST_PROP(Safety, DoesNotDependOnTheOrderAndSaysARefusalOnce, ()) {
  RandomWorld world;
  SafetyState state;
  SafetyState other;
  for (int tick = 0; tick < 40; ++tick) {
    world.advance();
    const SafeLimits out = make_safe(world.config, state, world.input);
    std::reverse(world.input.wanted.begin(), world.input.wanted.end());
    RC_ASSERT((make_safe(world.config, other, world.input).limits == out.limits));
    // Asked again: nothing changes. A wish may meet another rule now that something else holds.
    const SafeLimits again = make_safe(world.config, state, world.input);
    RC_ASSERT((again.limits == out.limits));
    for (const Decision& decision : again.decisions) {
      RC_ASSERT(decision.step == DecisionStep::kRefused);
    }
    RC_ASSERT(make_safe(world.config, state, world.input).decisions.empty());
    RC_ASSERT((make_safe(world.config, other, world.input).limits == out.limits));
  }
}

}  // namespace
}  // namespace hvguard::test
