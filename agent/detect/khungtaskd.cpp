#include "detect/khungtaskd.h"

#include <algorithm>

namespace hvguard {
namespace {

constexpr unsigned kMaxLevel = 8;  // LVL_DEPTH - 1
// A scan can start this much late on a busy host and still be that scan.
constexpr double kMaxLateSeconds = 0.5;
// Scans that can be followed from an old stamp before rounding makes it a guess.
constexpr int kMaxFollowed = 4096;

Jiffies late_bound(const ScanRule& rule) {
  return static_cast<Jiffies>(kMaxLateSeconds * rule.jiffies_per_second);
}

// The multiple of the granularity that `ran` is within slack of, if there is one.
std::optional<Jiffies> aligned_scan(const ScanRule& rule, Jiffies ran) {
  const Jiffies granularity = wheel_granularity(rule.interval);
  const Jiffies slack = phase_slack(rule);
  if (granularity < 64 * slack) {
    return std::nullopt;  // too many moments look aligned
  }
  const Jiffies nearest = (ran + granularity / 2) / granularity * granularity;
  const Jiffies apart = std::max(nearest, ran) - std::min(nearest, ran);
  return apart <= slack ? std::optional(nearest) : std::nullopt;
}

// From one known scan to the last one that khungtaskd has run since, all under one rule.
std::optional<LastScan> follow(const ScanRule& rule, LastScan last, const ScanClockInput& input) {
  const Jiffies slack = phase_slack(rule);
  const Jiffies reached = input.ran ? std::min(input.now, *input.ran + slack) : input.now;
  for (int i = 0; next_scan(rule, last) <= reached; ++i) {
    if (i == kMaxFollowed) {
      return std::nullopt;
    }
    const Jiffies scan = next_scan(rule, last);
    last = {.scanned = scan, .armed = scan};
  }
  if (!input.ran || *input.ran <= last.armed + slack) {
    return last;
  }
  // It ran since: that scan, run late; or the next one, since it scans whenever it runs after last
  // scan + interval; or it was only woken by a sysctl write.
  const bool late = *input.ran <= last.scanned + late_bound(rule);
  if (late || *input.ran + slack >= last.scanned + rule.interval) {
    return LastScan{.scanned = *input.ran, .armed = *input.ran};
  }
  last.armed = *input.ran;
  return last;
}

// A sysctl was written since the tick before, which also woke khungtaskd.
std::optional<LastScan> follow_change(const ScanRule& before,
                                      const ScanRule& rule,
                                      LastScan last,
                                      const ScanClockInput& input) {
  const Jiffies slack = phase_slack(rule);
  if (!input.ran || next_scan(before, last) <= *input.ran + slack) {
    return std::nullopt;  // a scan under the old rule may have come in between, or not
  }
  if (*input.ran <= last.armed + slack) {
    return last;
  }
  last.armed = *input.ran;
  if (last.scanned + rule.interval > last.armed + slack) {
    return last;
  }
  return std::nullopt;  // it scanned at once, but at which of perhaps two writes?
}

bool same(const ScanRule& a, const ScanRule& b) {
  return a.timeout == b.timeout && a.interval == b.interval &&
         a.check_interval_seconds == b.check_interval_seconds &&
         a.jiffies_per_second == b.jiffies_per_second;
}

}  // namespace

Jiffies wheel_granularity(Jiffies distance) {
  unsigned level = 0;
  while (level < kMaxLevel && distance >= Jiffies{63} << (3 * level)) {
    ++level;
  }
  return Jiffies{1} << (3 * level);
}

Jiffies wheel_expiry(Jiffies armed, Jiffies expires) {
  const Jiffies granularity = wheel_granularity(expires > armed ? expires - armed : 0);
  return (expires / granularity + 1) * granularity;
}

std::optional<ScanRule> make_scan_rule(std::uint64_t timeout_seconds,
                                       std::uint64_t check_interval_seconds,
                                       std::uint32_t jiffies_per_second) {
  // The sysctl's own upper bound is LONG_MAX / HZ; ten years keep the sums small.
  constexpr std::uint64_t max_seconds = 10ULL * 365 * 24 * 3600;
  if (timeout_seconds == 0 || timeout_seconds > max_seconds || jiffies_per_second == 0) {
    return std::nullopt;
  }
  const std::uint64_t interval =
      check_interval_seconds == 0 ? timeout_seconds : check_interval_seconds;
  return ScanRule{.timeout = timeout_seconds * jiffies_per_second,
                  .interval = std::min(interval, timeout_seconds) * jiffies_per_second,
                  .check_interval_seconds = check_interval_seconds,
                  .jiffies_per_second = jiffies_per_second};
}

Jiffies scan_period(const ScanRule& rule) {
  return wheel_expiry(0, rule.interval);
}

Jiffies next_scan(const ScanRule& rule, const LastScan& last) {
  const Jiffies due = last.scanned + rule.interval;
  return due <= last.armed ? last.armed : wheel_expiry(last.armed, due);
}

Jiffies first_scan_from(const ScanRule& rule, const LastScan& last, Jiffies due) {
  Jiffies scan = next_scan(rule, last);
  if (scan >= due) {
    return scan;
  }
  // The scan after it is aligned to the full granularity, and from there all are one period apart.
  scan = next_scan(rule, {.scanned = scan, .armed = scan});
  if (scan >= due) {
    return scan;
  }
  const Jiffies period = scan_period(rule);
  return scan + (due - scan + period - 1) / period * period;
}

Jiffies firing_scan(const ScanRule& rule, const LastScan& last, std::optional<Jiffies> stamp) {
  const Jiffies stamped = stamp.value_or(next_scan(rule, last));
  return first_scan_from(rule, last, stamped + rule.timeout);
}

Jiffies phase_slack(const ScanRule& rule) {
  return (rule.jiffies_per_second * 5 + 999) / 1000 + 1;
}

void follow_khungtaskd(ScanClockState& state, const ScanRule& rule, const ScanClockInput& input) {
  const Jiffies slack = phase_slack(rule);
  const std::optional<ScanRule> before = state.rule;
  const bool rule_changed = before && !same(*before, rule);
  const bool ran_again = input.ran && state.ran && *input.ran > *state.ran + slack;
  state.rule = rule;
  state.ran = input.ran;
  if (rule_changed) {
    // The change woke it, so that it ran at the change or has run since.
    const Jiffies ran = input.ran.value_or(input.now);
    state.rule_since = ran - std::min(ran, slack);
  }

  std::optional<LastScan> from = state.last;
  if (from && from->scanned > input.now) {
    from.reset();  // another clock
  }
  const auto& stamp = input.newest_stamp;
  // An old stamp says nothing about rounds under a new rule.
  const bool usable = stamp && *stamp <= input.now && (from || *stamp >= state.rule_since);
  if (usable && (!from || *stamp + slack >= from->scanned)) {
    // Exact, where a time on the boot clock is good to the slack.
    from = LastScan{.scanned = *stamp, .armed = from ? std::max(*stamp, from->armed) : *stamp};
  }
  if (from && rule_changed) {
    state.last = follow_change(*before, rule, *from, input);
    return;
  }
  // A run on the wheel's grid is a scan, and surer than following an old stamp through many rounds,
  // each of which may have been late.
  const bool recent = from && input.now - from->scanned <= 2 * scan_period(rule);
  const bool ran_since_change = input.ran && *input.ran > state.rule_since + 2 * slack;
  const auto on_grid = ran_since_change && !recent ? aligned_scan(rule, *input.ran) : std::nullopt;
  if (on_grid) {
    state.last = LastScan{.scanned = *on_grid, .armed = *on_grid};
  } else if (from) {
    state.last = follow(rule, *from, input);
  } else if (ran_again && !rule_changed) {
    state.last = LastScan{.scanned = *input.ran, .armed = *input.ran};
  } else {
    state.last.reset();
  }
}

}  // namespace hvguard
