// The forecast against a khungtaskd simulated jiffy by jiffy (host/khungtaskd_simulator.h).
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
// rapidcheck's gtest.h needs gtest's before it.
#include <rapidcheck/gtest.h>

#include "decide/pipeline.h"
#include "detect/khungtaskd.h"
#include "host/host.h"

namespace hvguard::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const std::vector<std::string> kStack = {"percpu_rwsem_wait", "__percpu_down_read", "vfs_write"};

struct Blocking {
  std::int64_t at_milliseconds = 0;
  bool hard = true;
};

// One random life of a host that ends in a panic, if it does.
struct Life {
  std::uint32_t hz = 250;
  std::uint64_t timeout = 20;
  std::uint64_t interval = 0;
  std::uint64_t panic = 1;
  std::int64_t phase_milliseconds = 0;  // when khungtaskd got its sysctls
  std::vector<Blocking> blockings;
  std::optional<std::int64_t> sysctl_change_at;  // milliseconds; changes the check interval
  std::uint64_t changed_interval = 0;
};

// For rapidcheck's counterexamples.
std::ostream& operator<<(std::ostream& out, const Life& life) {
  out << "HZ " << life.hz << " timeout " << life.timeout << " interval " << life.interval
      << " panic " << life.panic << " set at " << life.phase_milliseconds << " ms; blocked at";
  for (const Blocking& blocking : life.blockings) {
    out << " " << blocking.at_milliseconds << (blocking.hard ? "" : " (killable)");
  }
  if (life.sysctl_change_at) {
    out << "; interval " << life.changed_interval << " at " << *life.sysctl_change_at;
  }
  return out;
}

rc::Gen<Life> lives() {
  return rc::gen::exec([] {
    Life life;
    life.hz = *rc::gen::element(100U, 250U, 300U, 1000U);
    life.timeout = *rc::gen::inRange<std::uint64_t>(5, 60);
    life.interval = *rc::gen::element<std::uint64_t>(0, 0, 1, 3, 7, 30, 100);
    life.panic = *rc::gen::element<std::uint64_t>(1, 1, 2, 3);
    life.phase_milliseconds = *rc::gen::inRange<std::int64_t>(0, 70'000);
    const auto count = *rc::gen::inRange<std::size_t>(1, 5);
    for (std::size_t i = 0; i < count; ++i) {
      life.blockings.push_back({.at_milliseconds = *rc::gen::inRange<std::int64_t>(0, 60'000),
                                .hard = *rc::gen::weightedElement<bool>({{3, true}, {1, false}})});
    }
    if (*rc::gen::weightedElement<bool>({{1, true}, {3, false}})) {
      // Not in the tick of the first write: what came first there cannot be told apart.
      life.sysctl_change_at =
          life.phase_milliseconds + *rc::gen::inRange<std::int64_t>(1100, 60'000);
      life.changed_interval = *rc::gen::inRange<std::uint64_t>(1, 40);
    }
    return life;
  });
}

std::optional<PanicForecastEvidence> forecast_of(const TickResult& result) {
  for (const Incident& incident : result.incidents) {
    if (incident.kind == IncidentKind::kPanicForecast && incident.state == IncidentState::kOpen) {
      return std::get<PanicForecastEvidence>(incident.evidence);
    }
  }
  return std::nullopt;
}

// Lives in steps of 100 ms, with a tick every second; the last forecast before the panic.
struct Ending {
  std::optional<BootTime> panic;
  std::optional<PanicForecastEvidence> forecast;  // of the last tick before it
  BootTime last_tick;
  BootTime rule_since;  // the last write to a sysctl
};

Ending live(const Life& life) {
  Host host(life.hz);
  Pipeline pipeline{Config()};
  Ending ending;
  for (std::int64_t now = 0; now < 400'000; now += 100) {
    const auto is_now = [&](std::int64_t moment) { return moment >= now && moment < now + 100; };
    if (is_now(life.phase_milliseconds)) {
      host.set_sysctls(life.timeout, life.interval, life.panic);
      ending.rule_since = host.now();
    }
    if (life.sysctl_change_at && is_now(*life.sysctl_change_at)) {
      host.set_sysctls(life.timeout, life.changed_interval, life.panic);
      ending.rule_since = host.now();
    }
    for (std::size_t i = 0; i < life.blockings.size(); ++i) {
      if (is_now(life.blockings[i].at_milliseconds)) {
        host.block(static_cast<Pid>(100 + i),
                   life.blockings[i].hard ? BlockedClass::kHard : BlockedClass::kKillable,
                   kStack);
      }
    }
    if (now % 1000 == 0) {
      ending.forecast = forecast_of(pipeline.step(host.snapshot()));
      ending.last_tick = host.now();
    }
    host.advance(milliseconds(100));
    if (const auto panicked = host.khungtaskd().panicked_at()) {
      ending.panic = host.boot_time_of(*panicked);
      return ending;
    }
  }
  return ending;
}

RC_GTEST_PROP(Khungtaskd, ThePanicComesInsideTheForecastWindow, ()) {
  const Life life = *lives();
  const Ending ending = live(life);
  const auto hard = std::count_if(life.blockings.begin(),
                                  life.blockings.end(),
                                  [](const Blocking& blocking) { return blocking.hard; });
  RC_CLASSIFY(ending.panic.has_value(), "panics");
  // Every panic is forecast, and none is forecast for sleepers that do not count.
  RC_ASSERT(ending.panic.has_value() == (static_cast<std::uint64_t>(hard) >= life.panic));
  if (ending.panic &&
      (ending.last_tick < ending.rule_since || *ending.panic <= ending.rule_since)) {
    return;  // the write itself made it due: there was no tick to say so
  }
  RC_ASSERT(ending.forecast.has_value() == ending.panic.has_value());
  if (ending.panic) {
    RC_LOG() << "panic " << to_seconds(*ending.panic - Host::kStart) << " forecast "
             << to_seconds(ending.forecast->earliest - Host::kStart) << " to "
             << to_seconds(ending.forecast->latest - Host::kStart) << " hz " << life.hz << " T "
             << life.timeout << " I " << life.interval << "\n";
    RC_ASSERT(ending.forecast->earliest <= *ending.panic);
    RC_ASSERT(*ending.panic <= ending.forecast->latest);
    // Long after the last write the phase is known, and the panic to the scan, or at a wheel
    // bucket's edge to two buckets.
    const auto bucket = seconds(2 * wheel_granularity(life.timeout * life.hz)) / life.hz;
    if (*ending.panic - ending.rule_since > seconds(3 * life.timeout + 3)) {
      RC_ASSERT(ending.forecast->phase_known);
      RC_ASSERT(ending.forecast->latest - ending.forecast->earliest < milliseconds(1300) + bucket);
    }
  }
}

RC_GTEST_PROP(Khungtaskd, ScansComeWhenTheArithmeticSays, ()) {
  const auto hz = *rc::gen::element(100U, 250U, 300U, 1000U);
  const auto timeout = *rc::gen::inRange<std::uint64_t>(1, 200);
  const auto start = *rc::gen::inRange<std::uint64_t>(4'000'000'000, 4'000'600'000);
  KhungtaskdSimulator simulator(hz, start);
  simulator.set_sysctls(timeout, 0, 0);
  const auto rule = make_scan_rule(timeout, 0, hz);
  LastScan last{.scanned = start, .armed = start};
  for (int i = 0; i < 4; ++i) {
    const Jiffies expected = next_scan(*rule, last);
    RC_ASSERT(expected >= last.scanned + rule->interval);
    const std::uint64_t before = simulator.scan_count();
    simulator.run_until(expected - 1);
    RC_ASSERT(simulator.scan_count() == before);
    simulator.run_until(expected);
    RC_ASSERT(simulator.scan_count() == before + 1);
    if (i > 0) {
      RC_ASSERT(expected - last.scanned == scan_period(*rule));
    }
    last = {.scanned = expected, .armed = expected};
  }
}

}  // namespace
}  // namespace hvguard::test
