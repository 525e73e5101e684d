// The rules of safety that look at one wish at a time, in one explicit list. Pure. What they all
// look at is SafetyWorld, made once per tick.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "decide/safety.h"
#include "decide/throttle_chain.h"
#include "detect/device_stack.h"
#include "model/vm.h"

namespace hvguard {

enum class Effect {
  kRefuse,      // and what holds of it goes
  kNothingNew,  // what holds of the same origin stays, unless something looser is wanted
  kRaise,       // to `at_least`
};

struct Objection {
  Obstacle obstacle = Obstacle::kWrongValue;
  Effect effect = Effect::kRefuse;
  std::uint64_t at_least = 0;
};

// A limit that somebody wants, on its way through the rules. They change only what is to be set.
struct Wish {
  const Limit* asked = nullptr;
  const VmReading* vm = nullptr;    // null if it is gone, or not known without a Snapshot
  const HeldLimit* held = nullptr;  // of the same key, said or set as this would be
  std::uint64_t value = 0;
  std::optional<BootTime> expire_time;

  [[nodiscard]] const LimitKey& key() const { return asked->key; }
  [[nodiscard]] LimitKind kind() const { return asked->key.kind; }
  [[nodiscard]] bool is_dynamic() const { return asked->origin != LimitOrigin::kBaseline; }
  // More than what holds.
  [[nodiscard]] bool is_tightening() const {
    return held == nullptr || is_tighter(kind(), value, held->value);
  }
};

class SafetyWorld {
 public:
  // The arguments must outlive it.
  SafetyWorld(const SafetyConfig& config, const SafetyState& state, const SafetyInput& input);

  [[nodiscard]] const SafetyConfig& config() const { return config_; }
  [[nodiscard]] const SafetyInput& input() const { return input_; }
  [[nodiscard]] const DeviceStack& devices() const { return devices_; }
  [[nodiscard]] const ThrottleChains& chains() const { return chains_; }
  [[nodiscard]] const VmReading* vm(const VmId& id) const;
  [[nodiscard]] Wish wish(const Limit& asked) const;
  [[nodiscard]] std::size_t vm_count() const { return vms_.size(); }
  [[nodiscard]] bool is_stopping(const VmId& id) const { return state_.stopping.contains(id); }
  [[nodiscard]] const LoosenedLimit* loosened(const LimitKey& key) const;
  [[nodiscard]] bool is_open(std::string_view incident_id) const;
  // The Snapshot is recent enough to decide by.
  [[nodiscard]] bool is_fresh() const { return fresh_; }
  // Blocked tasks and block IO are seen as they should be.
  [[nodiscard]] bool sees_io() const { return sees_io_; }
  [[nodiscard]] bool swap_is_known() const;
  // That throttling it can throttle swap: one on which swap lies, or that shares a disk with it.
  [[nodiscard]] bool holds_swap(DeviceId id) const;
  [[nodiscard]] std::uint64_t io_floor_of(const LimitKey& key) const;
  [[nodiscard]] std::uint64_t least_cpu(const VmReading& vm) const;

 private:
  const SafetyConfig& config_;
  const SafetyState& state_;
  const SafetyInput& input_;
  DeviceStack devices_;
  std::vector<std::pair<VmId, const VmReading*>> vms_;  // sorted
  std::set<std::string_view> open_incidents_;
  std::set<DeviceId> near_swap_;                                                  // and all beneath
  std::vector<std::pair<std::pair<VmId, DeviceId>, std::uint64_t>> deep_queues_;  // sorted
  bool fresh_ = false;
  bool sees_io_ = false;
  std::optional<std::uint64_t> timeout_seconds_;
  ThrottleChains chains_;
};

// May shorten or lengthen the wish's lease: an open incident renews it.
using SafetyRule = std::optional<Objection> (*)(const SafetyWorld& world, Wish& wish);

// In the order they are asked; the first refusal ends it. Each is described at its definition.
[[nodiscard]] std::span<const SafetyRule> safety_rules();

}  // namespace hvguard
