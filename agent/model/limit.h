// Limits: what policy wants of a VM's cgroup, why, and what the kernel really has.
// A Limit is one cgroup v2 setting on one VM. decide/ says which Limits should hold
// (DesiredLimits), enforce/ makes it so and answers with one Outcome for each.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace hvguard {

// What hvguard may do: look; decide and say what it would do; set limits.
enum class LimitMode { kObserve, kDryRun, kEnforce };

// One setting of a cgroup (Documentation/admin-guide/cgroup-v2.rst); "max" is no limit.
enum class LimitKind {
  kReadBytes,        // io.max rbps: bytes in a second, per device
  kReadOperations,   // io.max riops: requests in a second, per device
  kWriteBytes,       // io.max wbps
  kWriteOperations,  // io.max wiops
  kIoWeight,         // io.weight: 1 to 10000, default 100
  kMemoryLow,        // memory.low: bytes
  kMemoryHigh,       // memory.high: bytes
  kMemoryMax,        // memory.max: bytes
  kSwapMax,          // memory.swap.max: bytes
  kPidsMax,          // pids.max: tasks
  kCpuMax,           // cpu.max: microseconds of CPU time in a second
  kCpuWeight,        // cpu.weight: 1 to 10000, default 100
};
inline constexpr std::size_t kLimitKindCount = 12;

// Those of io.max: per device, and the only ones that are.
[[nodiscard]] constexpr bool is_per_device(LimitKind kind) {
  return kind <= LimitKind::kWriteOperations;
}
// A smaller value holds the VM back more. Not so for memory.low, which protects.
[[nodiscard]] constexpr bool is_tighter(LimitKind kind, std::uint64_t a, std::uint64_t b) {
  return kind == LimitKind::kMemoryLow ? a > b : a < b;
}

// Identity of a Limit: at most one holds for each.
struct LimitKey {
  VmId vm;
  LimitKind kind = LimitKind::kReadBytes;
  DeviceId device;  // a whole disk; 0:0 unless is_per_device(kind)

  auto operator<=>(const LimitKey&) const = default;
};

// Who wants it.
enum class LimitOrigin {
  kBaseline,      // the VM's class, by the configuration: as long as the VM lives
  kGuardRule,     // an answer to an incident
  kOperator,      // SetLimit of a person on this host
  kControlPlane,  // SetLimit of the control plane
};

struct Limit {
  LimitKey key;
  std::uint64_t value = 0;  // in the unit of its kind
  LimitOrigin origin = LimitOrigin::kBaseline;
  bool dry_run = false;     // only said, never set
  std::string reason;       // one sentence for people, safe text
  std::string incident_id;  // that it answers; empty if none
  // Its lease: it is gone then unless it was renewed before. None for baselines only.
  std::optional<BootTime> expire_time;

  bool operator==(const Limit&) const = default;
};

// All Limits that should hold, sorted by key, each key once: what is not in it should not hold.
using DesiredLimits = std::vector<Limit>;

// What decide/ chose, "nothing" included: for the audit, and for `hvguardctl why`.
enum class DecisionStep {
  kSet,          // a limit that was not there
  kTightened,    // a limit that holds back more than before
  kLoosened,     // a limit that holds back less
  kRemoved,      // no limit any more
  kRefused,      // wanted, and not done: a safety rule is against it
  kIneffective,  // limits were taken back, since they did not help
  kNoLever,      // an incident that nothing here can mend
};

struct Decision {
  DecisionStep step = DecisionStep::kSet;
  BootTime time;
  std::optional<VmId> vm;              // none: about a device or the host
  std::optional<LimitKind> kind;       // none: about the VM or the device as a whole
  std::optional<DeviceId> device;      // none: not about a device
  std::optional<std::uint64_t> value;  // wanted; of kSet, kTightened, kLoosened, kRefused
  bool dry_run = false;                // would have been done
  std::string reason;                  // one sentence for people, safe text
  std::string incident_id;             // empty if none
};

// What is known of one key after an attempt to make it so.
enum class OutcomeState {
  kPending,   // asked for, no answer yet
  kInForce,   // read back from the kernel as wanted
  kDiffers,   // done, but the kernel has something else; it will be tried again
  kFailed,    // could not be done; it will be tried again
  kForeign,   // someone else changed it since: hvguard let go of it
  kReleased,  // the earlier value is back
};

// How a limit reaches the kernel.
enum class LeverKind { kSystemd, kCgroupfs };

struct Outcome {
  LimitKey key;
  OutcomeState state = OutcomeState::kPending;
  LeverKind lever = LeverKind::kSystemd;
  std::uint64_t wanted = 0;
  std::optional<std::uint64_t> in_kernel;  // as read back; none: no limit, or not read yet
  BootTime since;                          // of this state
  std::uint32_t failed_attempts = 0;       // in a row
  std::string detail;                      // what went wrong and what to do; empty if fine

  bool operator==(const Outcome&) const = default;
};

// "io.max rbps", "memory.high": as in the kernel's files.
[[nodiscard]] std::string_view to_string(LimitKind kind);
[[nodiscard]] std::string_view to_string(LimitMode mode);
[[nodiscard]] std::string_view to_string(LimitOrigin origin);
[[nodiscard]] std::string_view to_string(DecisionStep step);
[[nodiscard]] std::string_view to_string(OutcomeState state);
[[nodiscard]] std::string_view to_string(LeverKind lever);

}  // namespace hvguard
