// The kernel's own arithmetic of hung-task detection, in jiffies. Pure.
//
// Sources: kernel/hung_task.c (watchdog(), check_hung_task(), hung_timeout_jiffies()) and
// kernel/time/timer.c (calc_wheel_index()). In short: khungtaskd sleeps until last scan + interval;
// that sleep is a timer-wheel timer, so it ends at the next multiple of the wheel level's
// granularity. A scan stamps a task whose switch count moved since the stamp before, and counts one
// as hung whose stamp is at least the timeout old. Measured: 120 s at HZ 250 gives 120.832 s.
#pragma once

#include <cstdint>
#include <optional>

namespace hvguard {

using Jiffies = std::uint64_t;

// Jiffies between the buckets of the level that a timer this far away goes to: level n from
// 63 * 8^(n-1) jiffies on, with granularity 8^n.
[[nodiscard]] Jiffies wheel_granularity(Jiffies distance);

// When a timer armed at `armed` for `expires` fires: the bucket after the one `expires` is in.
[[nodiscard]] Jiffies wheel_expiry(Jiffies armed, Jiffies expires);

// The sysctls, in jiffies.
struct ScanRule {
  Jiffies timeout = 0;                       // hung_task_timeout_secs
  Jiffies interval = 0;                      // min(check_interval or timeout, timeout)
  std::uint64_t check_interval_seconds = 0;  // as written: even a write without effect wakes it
  std::uint32_t jiffies_per_second = 0;
};
// None if detection is off (timeout 0).
[[nodiscard]] std::optional<ScanRule> make_scan_rule(std::uint64_t timeout_seconds,
                                                     std::uint64_t check_interval_seconds,
                                                     std::uint32_t jiffies_per_second);

// Distance of two scans when nothing disturbs them.
[[nodiscard]] Jiffies scan_period(const ScanRule& rule);

// Where khungtaskd stands: its last scan, and when it last went to sleep. The two differ after a
// write to a hung_task sysctl, which only wakes it: it sleeps again until the same moment, but that
// shorter sleep may round differently.
struct LastScan {
  Jiffies scanned = 0;
  Jiffies armed = 0;

  bool operator==(const LastScan&) const = default;
};

[[nodiscard]] Jiffies next_scan(const ScanRule& rule, const LastScan& last);

// The first scan after `last` that is at `due` or later.
[[nodiscard]] Jiffies first_scan_from(const ScanRule& rule, const LastScan& last, Jiffies due);

// The scan that counts a task as hung, if it stays blocked. stamp: the task's last_switch_time if
// its switch count has not moved since; none if the next scan has yet to stamp it.
[[nodiscard]] Jiffies firing_scan(const ScanRule& rule,
                                  const LastScan& last,
                                  std::optional<Jiffies> stamp);

struct ScanClockInput {
  Jiffies now = 0;
  std::optional<Jiffies> ran;           // khungtaskd's last arrival on a CPU
  std::optional<Jiffies> newest_stamp;  // newest last_switch_time of any task: an exact scan
};

// Follows khungtaskd from tick to tick. `last` is none while its phase is not known.
struct ScanClockState {
  std::optional<LastScan> last;
  std::optional<ScanRule> rule;  // of the tick before
  std::optional<Jiffies> ran;    // of the tick before
  Jiffies rule_since = 0;        // when the rule was last seen to change
};
void follow_khungtaskd(ScanClockState& state, const ScanRule& rule, const ScanClockInput& input);

// How far a moment of the boot clock, turned into jiffies, may be off: scheduler clock against boot
// clock up to 5 ms, and one jiffy of rounding.
[[nodiscard]] Jiffies phase_slack(const ScanRule& rule);

}  // namespace hvguard
