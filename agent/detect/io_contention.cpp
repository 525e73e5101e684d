#include "detect/io_contention.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "detect/contention_sides.h"
#include "detect/device_stack.h"

namespace hvguard {
namespace {

constexpr Nanoseconds kRemembered = std::chrono::seconds(10);
constexpr Nanoseconds kToldAnew = std::chrono::seconds(10);
constexpr std::size_t kPressedBuckets = 2;  // a quarter of the bound
constexpr std::size_t kLeaveBuckets = 1;    // half of it
constexpr std::uint32_t kLeastWindows = 2;

// What one tick has to say, for all devices.
struct Tick {
  const IoContentionConfig& config;
  const Snapshot& snapshot;
  const Facts& facts;
  DeviceStack devices;
};

bool has_histograms(const Snapshot& snapshot) {
  return std::none_of(snapshot.block_io.begin(), snapshot.block_io.end(), [](const auto& reading) {
    return reading.counts_only;
  });
}

// The first bucket that lies wholly over the bound.
std::size_t bucket_over(Nanoseconds bound) {
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(bound).count();
  const auto bucket =
      std::bit_width(static_cast<std::uint64_t>(std::max<std::int64_t>(microseconds, 1) - 1));
  return std::clamp<std::size_t>(
      static_cast<std::size_t>(bucket), kPressedBuckets + kLeaveBuckets, kLatencyBuckets - 1);
}

// An open incident lasts until the pressure is half of what would lower the bound.
bool is_pressed(const Tick& tick, bool open) {
  const double bound = tick.config.pressure_full_ratio * (open ? 0.5 : 1);
  return tick.facts.host.io_full_ratio.value_or(0) >= bound;
}

Nanoseconds bound_of(const Tick& tick, DeviceId device) {
  const bool nvme = tick.devices.name_of(device).starts_with("nvme");
  return nvme ? tick.config.nvme_latency_bound : tick.config.latency_bound;
}

std::string name_of(const Tick& tick, const std::optional<VmId>& vm) {
  if (!vm) {
    return "the host itself";
  }
  const auto& vms = tick.snapshot.vms;
  const auto at =
      std::find_if(vms.begin(), vms.end(), [&](const VmReading& one) { return one.id == *vm; });
  return at == vms.end() ? to_string(*vm) : at->identity.name;
}

std::optional<Nanoseconds> p99(const std::optional<SlowRequests>& requests) {
  return requests ? std::optional(bucket_end(requests->p99_bucket)) : std::nullopt;
}

std::vector<IoContentionParty> told(const Tick& tick, const std::vector<const IoParty*>& parties) {
  std::vector<IoContentionParty> all;
  for (const IoParty* const party : parties) {
    if (all.size() == kMaxContentionParties) {
      break;
    }
    all.push_back({.vm = party->vm,
                   .name = name_of(tick, party->vm),
                   .device_time_ratio = party->share,
                   .read_p99 = p99(party->read),
                   .write_p99 = p99(party->write)});
  }
  return all;
}

std::string called(const IoContentionParty& party) {
  return party.vm ? "VM " + party.name : party.name;
}

std::string and_more(std::size_t count) {
  return count > 1 ? fmt::format(" (and {} more)", count - 1) : "";
}

std::string summary_of(const std::string& device,
                       const ContentionSides& sides,
                       const IoContentionEvidence& evidence) {
  const IoContentionParty& victim = evidence.victims.front();
  const Nanoseconds wait =
      std::max(victim.read_p99.value_or(Nanoseconds(0)), victim.write_p99.value_or(Nanoseconds(0)));
  std::string text = fmt::format("{} is contended: {}{} waits up to {} for its IO",
                                 device,
                                 called(victim),
                                 and_more(sides.victims.size()),
                                 format_duration(wait));
  if (evidence.culprits.empty()) {
    return text + "; nobody takes much more of the device than the others.";
  }
  const IoContentionParty& culprit = evidence.culprits.front();
  return text + fmt::format("; {}{} takes {:.0f} % of the device's time.",
                            called(culprit),
                            and_more(sides.culprits.size()),
                            culprit.device_time_ratio * 100);
}

Finding make_finding(const Tick& tick,
                     const DeviceUse& use,
                     const ContentionSides& sides,
                     BootTime since,
                     bool pressed) {
  IoContentionEvidence evidence;
  evidence.victims = told(tick, sides.victims);
  evidence.culprits = told(tick, sides.culprits);
  evidence.left_out_victim_count = sides.victims.size() - evidence.victims.size();
  evidence.left_out_culprit_count = sides.culprits.size() - evidence.culprits.size();
  evidence.party_count = sides.party_count;
  evidence.fair_ratio = sides.fair_share;
  evidence.in_device_count = use.in_device;
  evidence.latency_bound = bound_of(tick, use.device);
  evidence.pressure_high = pressed;

  const std::string device = tick.devices.name_of(use.device);
  Finding finding;
  finding.kind = IncidentKind::kIoContention;
  finding.subject = {.key = "dev:" + to_string(use.device),
                     .label = device,
                     .vm = std::nullopt,
                     .device = use.device};
  finding.severity = Severity::kWarning;
  finding.event_time = since;
  finding.summary = summary_of(device, sides, evidence);
  finding.evidence = std::move(evidence);
  return finding;
}

// Windows of victims that are over the bound: when the first began, and whether one closed now.
struct OverBound {
  BootTime begin;
  bool fresh = false;
};

OverBound over_bound(const ContentionSides& sides, std::size_t bound_bucket, BootTime now) {
  OverBound over{.begin = now};
  for (const IoParty* const victim : sides.victims) {
    for (const auto* const requests : {&victim->read, &victim->write}) {
      if (*requests && (*requests)->p99_bucket >= bound_bucket) {
        over.begin = std::min(over.begin, (*requests)->begin);
        over.fresh = over.fresh || (*requests)->end == now;
      }
    }
  }
  return over;
}

Contention contention_of(const DeviceUse& use, const std::optional<ContentionSides>& sides) {
  Contention contention{.use = use, .worst_wait = std::nullopt, .culprits = {}};
  if (!sides) {
    return contention;
  }
  const IoParty& slowest = *sides->victims.front();
  contention.worst_wait = bucket_end(*slowest_bucket(slowest));
  for (const IoParty* const culprit : sides->culprits) {
    if (culprit->vm) {
      contention.culprits.push_back(*culprit->vm);
    }
  }
  return contention;
}

std::optional<Finding> look_at(const Tick& tick, IoContentionState& state, const DeviceUse& use) {
  const BootTime now = tick.snapshot.boot_time;
  const auto at = state.devices.find(use.device);
  const bool was_open = at != state.devices.end() && at->second.open;
  const bool pressed = is_pressed(tick, was_open);
  const std::size_t bound = bucket_over(bound_of(tick, use.device)) -
                            (pressed ? kPressedBuckets : 0) - (was_open ? kLeaveBuckets : 0);
  const auto sides = find_sides(use, bound);
  if (!sides) {
    if (was_open) {
      state.contentions->push_back(contention_of(use, sides));
    }
    return std::nullopt;
  }
  const OverBound over = over_bound(*sides, bound, now);
  const bool is_new = at == state.devices.end();
  ContendedDevice& device = is_new ? state.devices[use.device] : at->second;
  if (is_new) {
    device.since = over.begin;
  }
  device.last = now;
  device.window_count += over.fresh ? 1 : 0;
  device.open = device.open || (device.window_count >= kLeastWindows &&
                                now - device.since >= tick.config.open_after);
  if (!device.open) {
    return std::nullopt;
  }
  state.contentions->push_back(contention_of(use, sides));
  if (!device.said || now - device.said_time >= kToldAnew) {
    device.said = make_finding(tick, use, *sides, device.since, pressed);
    device.said_time = now;
  }
  return device.said;
}

}  // namespace

std::optional<std::vector<Finding>> detect_io_contention(const IoContentionConfig& config,
                                                         IoContentionState& state,
                                                         const Snapshot& snapshot,
                                                         const Facts& facts) {
  state.contentions.reset();
  if (!has_histograms(snapshot)) {
    return std::nullopt;
  }
  state.contentions.emplace();
  const Tick tick{config, snapshot, facts, DeviceStack(snapshot.devices)};
  const BootTime now = snapshot.boot_time;
  std::vector<Finding> findings;
  for (const DeviceUse& use : measure_io(state.shares, snapshot, config.min_operations)) {
    if (auto finding = look_at(tick, state, use)) {
      findings.push_back(*std::move(finding));
    }
  }
  for (auto& [id, device] : state.devices) {
    device.last = device.last.value_or(now);
  }
  std::erase_if(state.devices, [&](const auto& entry) {
    const ContendedDevice& device = entry.second;
    return device.open ? now - *device.last > kRemembered : device.last != now;
  });
  return findings;
}

void restore_io_contention(IoContentionState& state, const std::vector<Incident>& incidents) {
  for (const Incident& incident : incidents) {
    const bool open = incident.state == IncidentState::kOpen;
    if (open && incident.kind == IncidentKind::kIoContention && incident.subject.device) {
      state.devices.emplace(*incident.subject.device,
                            ContendedDevice{.open = true,
                                            .since = incident.event_time,
                                            .last = std::nullopt,
                                            .window_count = 0,
                                            .said = std::nullopt,
                                            .said_time = {}});
    }
  }
}

}  // namespace hvguard
