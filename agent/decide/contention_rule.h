// Guard rule for io_contention: which read limits should hold on contended devices. Pure; called by
// the planner once per tick with what the detector saw. It only says what it wants: floors, blast
// radius, leases and back ends are others' business, but it never asks for less than its own floor
// nor for more VMs than it is given.
//
// While someone suffers, each culprit's reads are cut to a part of what it was measured to do, and
// again after each settle time; reads alone, since a throttled write can hold a journal that others
// wait for. Once calm, the limits rise by steps of the same size, and go when they reach what the
// VM did before, or when it asks for less all the while. If someone suffers again because of such a
// step, the first cut only takes it back: so the device is used nearly as far as it can be. If the
// victims are no better after some cuts in a row, the limits hurt without helping: they all go, and
// the rule leaves the device alone for a while. Where nothing can be cut (the host itself, writers,
// protected VMs, all at the floor) it says so once. What is not known changes nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace hvguard {

struct ContentionRuleConfig {
  double cut_ratio = 0.5;     // of the measured rate
  double back_ratio = 0.8;    // of the limit, when a raise was too much
  double raise_ratio = 0.1;   // of what was too much last
  double unused_ratio = 0.8;  // of the limit; less demand than this does not need it
  Nanoseconds settle = std::chrono::seconds(2);  // from a cut until its effect is judged
  // From a raise until the next: quick up to back_ratio of what was too much last, then careful.
  Nanoseconds quick_calm_for = std::chrono::seconds(3);
  Nanoseconds calm_for = std::chrono::seconds(10);
  Nanoseconds unused_for = std::chrono::seconds(30);
  std::uint32_t ineffective_after = 5;  // cuts in a row after which the victims were no better
  Nanoseconds back_off = std::chrono::minutes(5);
};

// What may be read in a second, or is.
struct ReadRate {
  double bytes = 0;
  double operations = 0;

  bool operator==(const ReadRate&) const = default;
};
// What is in flight at this rate drains within a quarter of the hung-task timeout on any disk.
inline constexpr ReadRate kLeastReadRate = {.bytes = 16e6, .operations = 200};

// A VM on a device that is contended, or on which it is limited.
struct DeviceUser {
  VmId vm;
  double share = 0;  // of the device time
  bool is_culprit = false;
  bool is_protected = false;
  bool is_dry_run = false;  // its limit is only said: nothing follows from it
  ReadRate reads;           // as measured
};

struct DeviceTrouble {
  DeviceId device;
  std::optional<Nanoseconds> worst_wait;  // the victims' p99; none: nobody suffers
  std::vector<DeviceUser> users;
};

struct ContentionRuleInput {
  BootTime now;
  bool known = false;                  // false: the detector is blind, or its data are stale
  std::vector<DeviceTrouble> devices;  // those left out are quiet
  std::vector<VmId> vms;               // that live; one that begins to stop is left out
  std::size_t max_limited_vms = 1;     // over all devices
};

struct ReadLimit {
  VmId vm;
  DeviceId device;
  ReadRate rate;

  bool operator==(const ReadLimit&) const = default;
};

enum class RuleStep { kCut, kRaised, kRemoved, kIneffective, kNoLever };

// A change in this tick, for the audit.
struct RuleDecision {
  RuleStep step = RuleStep::kCut;
  DeviceId device;
  std::optional<VmId> vm;  // none: about the device as a whole
  ReadRate rate;           // the limit afterwards; of kCut and kRaised

  bool operator==(const RuleDecision&) const = default;
};

struct ContentionRuleOutput {
  std::vector<ReadLimit> limits;  // all that should hold, by device and VM
  std::vector<RuleDecision> decisions;
};

struct LimitedVm {
  ReadRate limit;
  ReadRate before;                     // measured at the first cut
  ReadRate too_much;                   // with which others suffered last
  bool raised = false;                 // since the last cut
  std::uint32_t taken_back_count = 0;  // raises that were too much: each makes the next ones rarer
  std::optional<BootTime> calm_since;  // or since the last raise
  std::optional<BootTime> unused_since;
  bool is_dry_run = false;
};

struct LimitedDevice {
  std::map<VmId, LimitedVm> vms;
  std::optional<BootTime> judge_at;  // settle time after the last cut
  Nanoseconds wait_at_cut{0};
  std::uint32_t fruitless_cuts = 0;
  std::optional<BootTime> leave_alone_until;
  bool said_no_lever = false;
};

struct ContentionRuleState {
  std::map<DeviceId, LimitedDevice> devices;
};

[[nodiscard]] ContentionRuleOutput answer_contention(const ContentionRuleConfig& config,
                                                     ContentionRuleState& state,
                                                     const ContentionRuleInput& input);

}  // namespace hvguard
