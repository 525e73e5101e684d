// Findings (one detector's statement in one tick) and Incidents (a Finding with a life).
// Identity of both: (kind, subject).
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "model/snapshot.h"

namespace hvguard {

enum class IncidentKind {
  kHungTask,
  kPanicForecast,
  kIoStall,
  kVmTopology,
  kAgentBlind,
  kUncleanReboot,
  kIoContention,
};
inline constexpr std::size_t kIncidentKindCount = 7;

enum class Severity { kInfo, kWarning, kCritical };

// Why a task sits in D, from the innermost known function of its stack (BEHAVIOUR.md section 2).
enum class HungTaskCause {
  kBlockIo,
  kFilesystemJournal,
  kKvm,
  kSwapIn,
  kReclaim,
  kLock,
  kFrozenFs,
  kSuspendedDm,
  kNetworkFs,
  kThrottledByUs,
  kOther,
};

// Who an incident is about. The key makes the identity together with the kind and stays the same
// while the incident lives; the rest is for people and joins.
struct Subject {
  std::string key;    // "host", "vm:<vm id>", "vm:<vm id>/dev:8:0", "cause:block_io/dev:8:0"
  std::string label;  // safe text for people: "vm web01 on sda"
  std::optional<VmId> vm;
  std::optional<DeviceId> device;

  bool operator==(const Subject&) const = default;
};

struct HungTaskMember {
  TaskId id;
  Pid tgid = 0;
  std::string comm;  // safe text
  BootTime blocked_since;
  BlockedClass blocked_class = BlockedClass::kHard;
  std::optional<VmId> vm;

  bool operator==(const HungTaskMember&) const = default;
};
inline constexpr std::size_t kMaxIncidentMembers = 32;

struct HungTaskEvidence {
  HungTaskCause cause = HungTaskCause::kOther;
  std::uint32_t task_count = 0;         // all of them; members is cut at kMaxIncidentMembers
  std::vector<HungTaskMember> members;  // longest blocked first
  std::vector<VmId> vms;
  std::vector<std::string> stack;  // of the longest blocked one, innermost first
  std::optional<LockType> lock_type;
  std::optional<Pid> lock_owner_tid;
  std::string lock_owner_comm;  // safe text; empty if unknown

  bool operator==(const HungTaskEvidence&) const = default;
};

struct PanicForecastEvidence {
  BootTime earliest;  // the kernel panics in [earliest, latest] if nothing changes
  BootTime latest;
  std::uint64_t timeout_seconds = 0;
  Nanoseconds scan_period{0};         // khungtaskd's, timer wheel rounding included
  std::uint64_t tasks_needed = 1;     // hung in one scan, for a panic
  bool phase_known = false;           // false: the window spans a whole scan period
  bool upper_bound = false;           // true: killable sleepers could not be told apart (/proc)
  std::vector<HungTaskMember> tasks;  // those that fire first; cut at kMaxIncidentMembers
  bool reboots_afterwards = false;    // kernel.panic != 0
  // hung_task_check_count is smaller than the number of tasks: khungtaskd may not reach these.
  bool scan_cut_short = false;

  bool operator==(const PanicForecastEvidence&) const = default;
};

struct IoStallEvidence {
  std::uint64_t in_flight_count = 0;
  BootTime stalled_since;  // last completion, or when the oldest request can have been issued
  std::string device_name;
  std::optional<bool> device_suspended;

  bool operator==(const IoStallEvidence&) const = default;
};

// One that uses a contended device. Its figures are those of the last few seconds.
struct IoContentionParty {
  std::optional<VmId> vm;               // none: all that belongs to no VM, the host's own units
  std::string name;                     // safe text
  double device_time_ratio = 0;         // its share of the device time of all
  std::optional<Nanoseconds> read_p99;  // queue time: what it feels; none: too few requests
  std::optional<Nanoseconds> write_p99;

  bool operator==(const IoContentionParty&) const = default;
};
inline constexpr std::size_t kMaxContentionParties = 16;

struct IoContentionEvidence {
  // Both cut at kMaxContentionParties; what is left out is counted.
  std::vector<IoContentionParty> victims;   // slowest first, never empty
  std::vector<IoContentionParty> culprits;  // largest share first; empty: nobody in particular
  std::size_t left_out_victim_count = 0;
  std::size_t left_out_culprit_count = 0;
  std::size_t party_count = 0;  // that use the device
  double fair_ratio = 0;        // one part of as many
  double in_device_count = 0;   // requests in the device at a time, on average
  Nanoseconds latency_bound{0};
  bool pressure_high = false;  // the host's IO pressure is over its bound: a quarter counts

  bool operator==(const IoContentionEvidence&) const = default;
};

struct VmTopologyEvidence {
  enum class Problem { kSharedUnit, kKillMode, kMissingControllers, kPidsHeadroom };
  std::vector<Problem> problems;
  std::string remedy;  // what the operator can do, with the command

  bool operator==(const VmTopologyEvidence&) const = default;
};

struct AgentBlindEvidence {
  Source source = Source::kTasks;
  bool degraded = false;      // true: a fallback still gives approximate data
  bool sampler_late = false;  // true: the sampler itself is stuck, every source is stale
  std::string detail;

  bool operator==(const AgentBlindEvidence&) const = default;
};

struct UncleanRebootEvidence {
  std::shared_ptr<const BootRecord> previous_boot;  // never null
  // From its last record to the start of this boot; none if the wall clock does not say.
  std::optional<Nanoseconds> down_time;

  bool operator==(const UncleanRebootEvidence& other) const {
    return down_time == other.down_time && *previous_boot == *other.previous_boot;
  }
};

using Evidence = std::variant<std::monostate,
                              HungTaskEvidence,
                              PanicForecastEvidence,
                              IoStallEvidence,
                              VmTopologyEvidence,
                              AgentBlindEvidence,
                              UncleanRebootEvidence,
                              IoContentionEvidence>;

struct Finding {
  IncidentKind kind = IncidentKind::kHungTask;
  Subject subject;
  Severity severity = Severity::kWarning;
  BootTime event_time;  // when the trouble began, from the data
  std::string summary;  // one sentence for people, safe text
  Evidence evidence;
};

enum class IncidentState { kOpen, kResolved };

// A person knows of it (AcknowledgeIncident).
struct Acknowledgement {
  WallTime time;       // only shown
  std::string who;     // safe text
  std::string reason;  // safe text

  bool operator==(const Acknowledgement&) const = default;
};

struct Incident {
  std::string
      id;  // unique for ever: "<boot seconds when opened, hex>-<number, hex>-<boot id part>"
  IncidentKind kind = IncidentKind::kHungTask;
  Subject subject;
  IncidentState state = IncidentState::kOpen;
  Severity severity = Severity::kWarning;       // now
  Severity peak_severity = Severity::kWarning;  // the worst it was
  std::string summary;
  Evidence evidence;  // the latest; monostate right after a restart
  BootTime event_time;
  BootTime detect_time;
  std::optional<BootTime> decide_time;   // when decide/ last chose something for it
  std::optional<BootTime> resolve_time;  // set when kResolved
  std::uint64_t revision = 1;            // grows with every visible change
  std::uint32_t reopen_count = 0;        // flaps: times it resolved and came back
  std::optional<Acknowledgement> acknowledgement = std::nullopt;
};

struct IncidentChange {
  enum class What { kOpened, kUpdated, kResolved };
  What what = What::kOpened;
  Incident incident;
};

}  // namespace hvguard
