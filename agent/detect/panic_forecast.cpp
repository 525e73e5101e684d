#include "detect/panic_forecast.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "detect/hung_task.h"

namespace hvguard {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// The panic comes at the end of the scan, after the reports of the tasks on the console.
constexpr Nanoseconds kScanDuration = seconds(1);
// Readings that differ by less are the same statement: jiffies and the boot clock are not read at
// one instant.
constexpr Nanoseconds kJitter = milliseconds(50);
// No task is looked at before it has been blocked this long, whatever the timeout.
constexpr Nanoseconds kMinBlocked = seconds(2);

// When one task counts as hung, if it stays blocked.
struct Fire {
  BootTime earliest;
  BootTime latest;
  const TrackedTask* task = nullptr;
};

struct Kernel {
  std::uint64_t timeout_seconds = 0;
  Nanoseconds timeout{0};
  Nanoseconds scan_period{0};
  std::optional<ScanRule> rule;  // none while HZ is not known
};

Nanoseconds from_jiffies(Jiffies jiffies, std::uint32_t per_second) {
  return Nanoseconds(static_cast<std::int64_t>(jiffies * (1'000'000'000ULL / 1000) / per_second) *
                     1000);
}

// Jiffies of one task pass against the boot clock.
class JiffyClock {
 public:
  JiffyClock(BootTime pass_time, Jiffies jiffies, std::uint32_t per_second)
      : pass_time_(pass_time), jiffies_(jiffies), per_second_(per_second) {}

  [[nodiscard]] BootTime boot_time(Jiffies moment) const {
    return moment >= jiffies_ ? pass_time_ + from_jiffies(moment - jiffies_, per_second_)
                              : pass_time_ - from_jiffies(jiffies_ - moment, per_second_);
  }
  // None for a moment before the jiffies began to count.
  [[nodiscard]] std::optional<Jiffies> jiffies(BootTime moment) const {
    const double ago = to_seconds(pass_time_ - moment) * per_second_;
    if (ago > static_cast<double>(jiffies_)) {
      return std::nullopt;
    }
    return ago >= 0 ? jiffies_ - static_cast<Jiffies>(ago) : jiffies_;
  }
  [[nodiscard]] Jiffies now() const { return jiffies_; }

 private:
  BootTime pass_time_;
  Jiffies jiffies_;
  std::uint32_t per_second_;
};

Kernel kernel_rule(const HungTaskSysctls& sysctls, std::optional<std::uint32_t> per_second) {
  Kernel kernel;
  kernel.timeout_seconds = *sysctls.timeout_seconds;
  const std::uint64_t check = sysctls.check_interval_seconds.value_or(0);
  const std::uint64_t capped =
      std::min<std::uint64_t>(kernel.timeout_seconds, 10ULL * 365 * 24 * 3600);
  kernel.timeout = seconds(capped);
  const std::uint64_t interval = check == 0 ? capped : std::min(check, capped);
  if (per_second) {
    kernel.rule = make_scan_rule(kernel.timeout_seconds, check, *per_second);
  }
  // Without HZ: a wheel level rounds by less than an eighth of the sleep, and one jiffy.
  kernel.scan_period = kernel.rule ? from_jiffies(scan_period(*kernel.rule), *per_second)
                                   : Nanoseconds(seconds(interval)) * 9 / 8 + milliseconds(20);
  return kernel;
}

// khungtaskd counts it, unless it wakes itself in time. One that should have woken and has not
// (the timeout was shortened while it slept) counts like any other.
bool can_fire(const TrackedTask& task, const Kernel& kernel, BootTime now) {
  if (!task.counts() || task.task->switch_count == 0) {
    return false;
  }
  const bool wakes_in_time = now - task.last_wake <= kernel.timeout * 3 / 4;
  return !task.cause.self_waking || !wakes_in_time;
}

// Where the phase is not known: the first scan that saw the task is at most one period after it
// blocked, and the one that fires is the first at least the timeout later. Both ends can lie in the
// past: that a panic did not come is an answer too (see keep_possible()).
Fire fire_by_bounds(const TrackedTask& task, const Kernel& kernel, BootTime rule_since) {
  const Nanoseconds rounds =
      kernel.scan_period *
      ((kernel.timeout + kernel.scan_period - Nanoseconds(1)) / kernel.scan_period);
  return {.earliest = task.since + kernel.timeout,
          .latest = std::max(task.since, rule_since - rounds) + kernel.scan_period + rounds +
                    kScanDuration,
          .task = &task};
}

Fire fire_by_scans(const TrackedTask& task,
                   const ScanRule& rule,
                   const LastScan& last,
                   const JiffyClock& clock,
                   bool stamped) {
  const Jiffies slack = phase_slack(rule);
  const std::optional<Jiffies> stamp =
      stamped ? task.task->last_switch_jiffies : std::optional<Jiffies>();
  // The last scan and the last sleep are known to within the slack; at a bucket's edge, or where
  // one level of the wheel begins, that can be worth a bucket.
  const auto shifted = [&](Jiffies moment, int direction) {
    return direction < 0 ? moment - std::min(slack, moment) : moment + (direction > 0 ? slack : 0);
  };
  Jiffies first = firing_scan(rule, last, stamp);
  Jiffies final = first;
  for (const int scan_shift : {-1, 0, 1}) {
    for (const int sleep_shift : {-1, 0, 1}) {
      if (last.scanned == last.armed && scan_shift != sleep_shift) {
        continue;  // one moment
      }
      const Jiffies fire = firing_scan(
          rule,
          {.scanned = shifted(last.scanned, scan_shift), .armed = shifted(last.armed, sleep_shift)},
          stamp);
      first = std::min(first, fire);
      final = std::max(final, fire);
    }
  }
  return {.earliest = clock.boot_time(first - std::min(first, slack)),
          .latest = clock.boot_time(final + slack) + kScanDuration,
          .task = &task};
}

bool is_stamped(const BlockedTask& task) {
  return task.last_switch_count && task.last_switch_jiffies &&
         *task.last_switch_count == task.switch_count;
}

std::optional<Jiffies> newest_stamp(const TaskPass& pass) {
  std::optional<Jiffies> newest;
  for (const BlockedTask& task : pass.blocked) {
    const bool usable = task.blocked_class == BlockedClass::kHard && is_stamped(task) &&
                        *task.last_switch_jiffies <= pass.jiffies.value_or(0);
    if (usable && (!newest || *task.last_switch_jiffies > *newest)) {
      newest = task.last_switch_jiffies;
    }
  }
  return newest;
}

// The clock of this pass, with the state following khungtaskd; none if jiffies or HZ are unknown.
std::optional<JiffyClock> follow_clock(PanicForecastState& state,
                                       const Kernel& kernel,
                                       const TaskPass& pass) {
  if (!kernel.rule || !pass.jiffies) {
    return std::nullopt;
  }
  const JiffyClock clock(pass.pass_time, *pass.jiffies, kernel.rule->jiffies_per_second);
  follow_khungtaskd(
      state.scan_clock,
      *kernel.rule,
      {.now = clock.now(),
       .ran = pass.khungtaskd_ran ? clock.jiffies(*pass.khungtaskd_ran) : std::nullopt,
       .newest_stamp = newest_stamp(pass)});
  return clock;
}

std::vector<Fire> fires(const PanicForecastState& state,
                        const Kernel& kernel,
                        const std::optional<JiffyClock>& clock,
                        Nanoseconds min_blocked,
                        BootTime now,
                        const std::vector<TrackedTask>& tasks) {
  std::vector<Fire> all;
  for (const TrackedTask& task : tasks) {
    if (now - task.since < min_blocked || !can_fire(task, kernel, now)) {
      continue;
    }
    const bool stamped = is_stamped(*task.task);
    const bool by_scans = clock && state.scan_clock.last &&
                          task.task->blocked_class == BlockedClass::kHard &&
                          task.task->last_switch_count.has_value();
    all.push_back(by_scans
                      ? fire_by_scans(task, *kernel.rule, *state.scan_clock.last, *clock, stamped)
                      : fire_by_bounds(task, kernel, state.rule_since));
  }
  return all;
}

// The panic is at the n-th smallest of the fire times, and so between the n-th smallest of the
// earliest and the n-th smallest of the latest ones. Where that is over without a panic, some of
// them do not count (killable sleepers that /proc cannot tell), and it is the next one's turn.
// False: none can bring it any more.
bool keep_possible(std::vector<Fire>& all,
                   std::uint64_t needed,
                   BootTime now,
                   PanicForecastEvidence& evidence) {
  if (needed == 1) {
    std::erase_if(all, [&](const Fire& fire) { return fire.latest < now; });
  }
  std::sort(
      all.begin(), all.end(), [](const Fire& a, const Fire& b) { return a.latest < b.latest; });
  std::size_t nth = static_cast<std::size_t>(needed - 1);
  while (nth < all.size() && all[nth].latest < now) {
    ++nth;
  }
  if (nth >= all.size()) {
    return false;
  }
  evidence.latest = all[nth].latest;
  std::sort(all.begin(), all.end(), [](const Fire& a, const Fire& b) {
    return std::tie(a.earliest, a.task->since, a.task->task->id) <
           std::tie(b.earliest, b.task->since, b.task->task->id);
  });
  evidence.earliest = all[nth].earliest;
  std::erase_if(all, [&](const Fire& fire) { return fire.earliest > evidence.latest; });
  return true;
}

void hold_still(PanicForecastState& state, PanicForecastEvidence& evidence) {
  const auto near = [](const std::optional<BootTime>& said, BootTime now) {
    return said && std::max(*said - now, now - *said) <= kJitter;
  };
  if (near(state.earliest, evidence.earliest) && near(state.latest, evidence.latest)) {
    evidence.earliest = std::min(*state.earliest, evidence.earliest);
    evidence.latest = std::max(*state.latest, evidence.latest);
  }
  state.earliest = evidence.earliest;
  state.latest = evidence.latest;
}

bool is_same_rule(const HungTaskSysctls& a, const HungTaskSysctls& b) {
  return a.timeout_seconds == b.timeout_seconds &&
         a.check_interval_seconds == b.check_interval_seconds &&
         a.hung_task_panic == b.hung_task_panic;
}

std::string summary(const PanicForecastEvidence& evidence, std::size_t task_count) {
  const std::string tasks = task_count == 1 ? fmt::format("{} ({}) is blocked",
                                                          evidence.tasks.front().comm,
                                                          evidence.tasks.front().id.tid)
                                            : fmt::format("{} tasks are blocked", task_count);
  return fmt::format(
      "The kernel will {} over hung tasks (hung_task_timeout_secs={}, hung_task_panic={}): {}{}{}.",
      evidence.reboots_afterwards ? "panic and reboot" : "panic and stay down",
      evidence.timeout_seconds,
      evidence.tasks_needed,
      tasks,
      evidence.upper_bound ? "; upper bound, killable sleepers cannot be told apart" : "",
      evidence.scan_cut_short ? "; less sure, hung_task_check_count is below the number of tasks"
                              : "");
}

}  // namespace

PanicForecastResult detect_panic_forecast(const PanicForecastConfig& config,
                                          Nanoseconds hung_open_after,
                                          PanicForecastState& state,
                                          const Snapshot& snapshot,
                                          const Facts& facts,
                                          const std::vector<TrackedTask>& tasks) {
  if (facts.jiffies_per_second) {
    state.jiffies_per_second = facts.jiffies_per_second;
  }
  const auto& sysctls = snapshot.host.hung_task;
  if (!snapshot.tasks || !sysctls) {
    return {.finding = std::nullopt, .known = false};
  }
  const TaskPass& pass = *snapshot.tasks;
  if (!state.sysctls || !is_same_rule(*state.sysctls, *sysctls)) {
    state.sysctls = sysctls;
    state.rule_since = pass.pass_time;
  }
  // A kernel without these files detects nothing, and so never panics over it.
  if (sysctls->timeout_seconds.value_or(0) == 0) {
    return {};
  }
  const Kernel kernel = kernel_rule(*sysctls, state.jiffies_per_second);
  const auto clock = follow_clock(state, kernel, pass);
  const std::uint64_t needed = sysctls->hung_task_panic.value_or(0);
  if (needed == 0) {
    return {};
  }
  if (pass.jiffies && !state.jiffies_per_second) {
    return {.finding = std::nullopt, .known = false};  // HZ follows from the second pass
  }

  const Nanoseconds min_blocked =
      std::max(kMinBlocked, std::min(hung_open_after, kernel.timeout / 4));
  const BootTime now = pass.pass_time;
  auto all = fires(state, kernel, clock, min_blocked, now, tasks);
  PanicForecastEvidence evidence;
  if (!keep_possible(all, needed, now, evidence)) {
    state.earliest.reset();
    state.latest.reset();
    return {};
  }
  if (evidence.earliest - now > config.open_within) {
    return {};
  }
  hold_still(state, evidence);
  evidence.timeout_seconds = kernel.timeout_seconds;
  evidence.scan_period = kernel.scan_period;
  evidence.tasks_needed = needed;
  evidence.phase_known = clock && state.scan_clock.last;
  evidence.reboots_afterwards = sysctls->panic_seconds.value_or(0) != 0;
  evidence.scan_cut_short = sysctls->check_count && *sysctls->check_count < pass.seen_count;
  BootTime event_time = all.front().task->since;
  for (const Fire& fire : all) {
    event_time = std::min(event_time, fire.task->since);
    evidence.upper_bound |= fire.task->blocked_class == BlockedClass::kUnknown;
    if (evidence.tasks.size() < kMaxIncidentMembers) {
      evidence.tasks.push_back(incident_member(*fire.task));
    }
  }
  Finding finding;
  finding.kind = IncidentKind::kPanicForecast;
  finding.subject = {.key = "host", .label = "host", .vm = std::nullopt, .device = std::nullopt};
  const bool sure = !evidence.upper_bound && !evidence.scan_cut_short;
  finding.severity = sure ? Severity::kCritical : Severity::kWarning;
  finding.event_time = event_time;
  finding.summary = summary(evidence, all.size());
  finding.evidence = std::move(evidence);
  return {.finding = std::move(finding)};
}

}  // namespace hvguard
