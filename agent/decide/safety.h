// Safety: of all limits that anyone wants, those that may hold. Pure; called once per tick by the
// planner, over everything at once (docs/LIMITS.md, "What keeps a limit from doing harm"; the
// sections named there and here are of facts measured on real kernels). Nothing reaches enforce/
// that has not passed here.
//
// A rule can do three things to a wish: refuse it; let nothing new or tighter pass, so that what
// holds stays (what is not known is a reason to stand still, not to act); or raise its value.
// Where several wishes concern one key, the tightest that is allowed wins. Loosening and removing
// always pass, at once.
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "model/config.h"
#include "model/facts.h"
#include "model/incident.h"
#include "model/limit.h"
#include "model/snapshot.h"

namespace hvguard {

// Older data decide nothing new, nor renew a lease.
inline constexpr Nanoseconds kSafetyMaxAge = std::chrono::seconds(3);
// A limit that was in the way of somebody comes back only after this long without any sign of it.
inline constexpr Nanoseconds kThrottleCalmFor = std::chrono::seconds(60);
// Such a limit is doubled, so often and at this distance, and then dropped.
inline constexpr Nanoseconds kLoosenEvery = std::chrono::seconds(2);
inline constexpr std::uint32_t kLoosenSteps = 3;
// The rest is said in the ticks after.
inline constexpr std::size_t kMaxRefusalsPerTick = 64;
// A refusal that was last met this long ago is a new one: else what comes and goes floods the log.
inline constexpr Nanoseconds kRefusalForgottenAfter = std::chrono::seconds(60);

// Why a wish is not granted as it is. One sentence for people belongs to each (safety_words.h).
enum class Obstacle {
  kWrongDevice,   // not a disk of this host, or one where none belongs
  kWrongValue,    // the kernel would refuse it, or take it for something else
  kNeverDynamic,  // a setting for baselines only
  kVmGone,
  kVmStopping,
  kNoCgroup,  // none of its own
  kOwnUnit,   // hvguard's
  kInitUnit,  // PID 1's
  kProtectedUnit,
  kSharedUnit,    // with other VMs or foreign processes
  kUnitNotKnown,  // who else lives there
  kProtectedVm,
  kNoIncident,  // a guard rule's limit without an open incident
  kNoLease,
  kLeaseEnded,
  kLeaseTooLong,
  kWriteLimit,  // not allowed on this host
  kSharedJournal,
  kSwapDevice,
  kSwapNotKnown,
  kBelowFloor,
  kVcpusNotKnown,
  kBelowUse,  // of memory or tasks
  kUseNotKnown,
  kStaleData,
  kBlindSource,  // blocked tasks or block IO are not seen as they should be
  kInTheWay,     // throttled_by_us: somebody waits behind it
  kTooManyVms,
  kTooManyChanges,
};

struct SafetyInput {
  BootTime now;
  // From baselines, guard rules and people, in any order; for a key one of each origin (of guard
  // rules: one for each incident) and mode.
  std::vector<Limit> wanted;
  const Snapshot* snapshot = nullptr;                // the latest; null if there is none
  const Facts* facts = nullptr;                      // of that Snapshot
  const std::vector<Incident>* incidents = nullptr;  // the open ones count
  std::set<VmId> protected_vms;                      // no dynamic limit
  std::set<VmId> vms_in_protected_units;             // no limit at all
  // Asked to end (SIGTERM or SIGKILL pending, unit deactivating). Once here, a VM gets no limit
  // until it is gone.
  std::set<VmId> stopping_vms;
  // Disks known to carry no journal that the host or several VMs write to; all others may.
  std::set<DeviceId> devices_without_shared_journal;
  std::string own_cgroup_path;  // of hvguardd, "/system.slice/hvguardd.service"; empty: not known
  std::string own_unit;         // empty: none
};

// What the last call gave out for a key.
struct HeldLimit {
  LimitKey key;
  std::uint64_t value = 0;
  LimitOrigin origin = LimitOrigin::kBaseline;
  bool dry_run = false;
  std::optional<BootTime> expire_time;
  std::string incident_id;
};

// What was done about a limit that somebody waits behind.
struct LoosenedLimit {
  std::uint64_t at_least = 0;
  std::uint32_t steps = 0;
  bool dropped = false;
  BootTime last_step;
  BootTime last_seen;  // somebody waiting, or nothing being known
};

struct SafetyState {
  std::vector<HeldLimit> held;             // sorted by key
  std::map<VmId, BootTime> limited_since;  // VMs under dynamic limits
  std::deque<BootTime> tightenings;        // by dynamic limits, of the last minute
  std::set<VmId> stopping;
  std::map<LimitKey, LoosenedLimit> loosened;
  std::map<std::pair<LimitKey, Obstacle>, BootTime> refused;  // said; when last met
};

struct SafeLimits {
  DesiredLimits limits;
  std::vector<Decision> decisions;  // by key, changes before refusals
};

[[nodiscard]] SafeLimits make_safe(const SafetyConfig& config,
                                   SafetyState& state,
                                   const SafetyInput& input);

}  // namespace hvguard
