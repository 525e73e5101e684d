#include <algorithm>

#include "decide/drain_floor.h"
#include "decide/safety_rules.h"

namespace hvguard {
namespace {

const std::vector<DeviceReading>& devices_of(const Snapshot* snapshot) {
  static const std::vector<DeviceReading> none;
  return snapshot == nullptr ? none : snapshot->devices;
}

template <class Pairs, class Key>
auto find_sorted(const Pairs& pairs, const Key& key) {
  const auto at =
      std::lower_bound(pairs.begin(), pairs.end(), key, [](const auto& pair, const Key& k) {
        return pair.first < k;
      });
  return at != pairs.end() && at->first == key ? at : pairs.end();
}

}  // namespace

SafetyWorld::SafetyWorld(const SafetyConfig& config,
                         const SafetyState& state,
                         const SafetyInput& input)
    : config_(config),
      state_(state),
      input_(input),
      devices_(devices_of(input.snapshot)),
      timeout_seconds_(hung_task_timeout(input.snapshot)),
      chains_(input.now, input.snapshot, input.facts, input.incidents, devices_) {
  if (input.incidents != nullptr) {
    for (const Incident& incident : *input.incidents) {
      if (incident.state == IncidentState::kOpen) {
        open_incidents_.insert(incident.id);
      }
    }
  }
  if (input.snapshot == nullptr) {
    return;
  }
  const Snapshot& snapshot = *input.snapshot;
  fresh_ = input.now - snapshot.boot_time <= kSafetyMaxAge;
  sees_io_ = snapshot.source(Source::kTasks).state == SourceState::kOk &&
             snapshot.source(Source::kBlockIo).state == SourceState::kOk;
  vms_.reserve(snapshot.vms.size());
  for (const VmReading& vm : snapshot.vms) {
    vms_.emplace_back(vm.id, &vm);
  }
  std::sort(vms_.begin(), vms_.end());
  for (const DeviceId swap : snapshot.host.swap_devices.value_or(std::vector<DeviceId>())) {
    near_swap_.insert(swap);
    const auto beneath = devices_.all_beneath(swap);
    near_swap_.insert(beneath.begin(), beneath.end());
  }
  for (const BlockIoReading& reading : snapshot.block_io) {
    if (reading.vm && reading.in_flight_count.value_or(0) > kWorstInFlight) {
      deep_queues_.emplace_back(std::pair(*reading.vm, reading.device), *reading.in_flight_count);
    }
  }
  std::sort(deep_queues_.begin(), deep_queues_.end());
}

const VmReading* SafetyWorld::vm(const VmId& id) const {
  const auto at = find_sorted(vms_, id);
  return at == vms_.end() ? nullptr : at->second;
}

Wish SafetyWorld::wish(const Limit& asked) const {
  Wish wish;
  wish.asked = &asked;
  wish.vm = vm(asked.key.vm);
  wish.value = asked.value;
  wish.expire_time = asked.expire_time;
  const auto held =
      std::lower_bound(state_.held.begin(),
                       state_.held.end(),
                       asked.key,
                       [](const HeldLimit& one, const LimitKey& key) { return one.key < key; });
  if (held != state_.held.end() && held->key == asked.key && held->dry_run == asked.dry_run) {
    wish.held = &*held;
  }
  return wish;
}

const LoosenedLimit* SafetyWorld::loosened(const LimitKey& key) const {
  const auto at = state_.loosened.find(key);
  return at == state_.loosened.end() ? nullptr : &at->second;
}

bool SafetyWorld::is_open(std::string_view incident_id) const {
  return !incident_id.empty() && open_incidents_.contains(incident_id);
}

bool SafetyWorld::swap_is_known() const {
  return input_.snapshot != nullptr && input_.snapshot->host.swap_devices.has_value();
}

bool SafetyWorld::holds_swap(DeviceId id) const {
  if (near_swap_.empty()) {
    return false;
  }
  const auto beneath = devices_.all_beneath(id);
  return near_swap_.contains(id) || std::any_of(beneath.begin(), beneath.end(), [&](DeviceId one) {
           return near_swap_.contains(one);
         });
}

std::uint64_t SafetyWorld::io_floor_of(const LimitKey& key) const {
  const auto deep = find_sorted(deep_queues_, std::pair(key.vm, key.device));
  return io_floor(config_,
                  key.kind,
                  timeout_seconds_,
                  deep == deep_queues_.end() ? std::nullopt : std::optional(deep->second));
}

std::uint64_t SafetyWorld::least_cpu(const VmReading& vm) const {
  return cpu_floor(config_, vm.identity.vcpu_count.value_or(1));
}

}  // namespace hvguard
