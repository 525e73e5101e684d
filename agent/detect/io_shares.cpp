#include "detect/io_shares.h"

#include <algorithm>
#include <cmath>

namespace hvguard {
namespace {

// After this time use counts for half: long enough that a request which completes late changes
// little, short enough that who began three seconds ago has most of the share.
constexpr double kHalfLifeSeconds = 1;
// Ticks may be shorter than a second, and come out of turn when VMs start or end: what is judged
// does not depend on that.
constexpr Nanoseconds kShortestWindow = std::chrono::milliseconds(900);
// Less device time than this in the last few seconds is nobody's share of anything.
constexpr double kLeastMicroseconds = 1000;

// Twice the middle of a bucket is 3 * 2^i; halving the sum once keeps it whole.
std::uint64_t device_microseconds(const BlockIoReading& reading) {
  std::uint64_t twice = 0;
  for (const IoOperationReading& operation : reading.by_operation) {
    for (std::size_t i = 0; i < kLatencyBuckets; ++i) {
      twice += operation.device_time[i] * (std::uint64_t{3} << i);
    }
  }
  return twice / 2;
}

void begin_window(LatencyWindow& window, const IoOperationReading& reading, BootTime now) {
  window.begin = now;
  window.operations = reading.operations.value;
  window.counts = reading.queue_time;
}

// None if a bucket went back (a reset), or if fewer requests were timed than are needed.
std::optional<std::size_t> p99_bucket(const LatencyHistogram& before,
                                      const LatencyHistogram& after,
                                      std::uint64_t needed) {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < kLatencyBuckets; ++i) {
    if (after[i] < before[i]) {
      return std::nullopt;
    }
    total += after[i] - before[i];
  }
  if (total < needed) {
    return std::nullopt;
  }
  const std::uint64_t slowest = std::max<std::uint64_t>(2, (total + 99) / 100);
  std::uint64_t seen = 0;
  for (std::size_t i = kLatencyBuckets; i-- > 0;) {
    seen += after[i] - before[i];
    if (seen >= slowest) {
      return i;
    }
  }
  return std::nullopt;
}

void follow(LatencyWindow& window,
            const IoOperationReading& reading,
            BootTime now,
            std::uint64_t needed) {
  const std::uint64_t operations = reading.operations.value;
  if (window.latest && now - window.latest->end > kLongestWindow) {
    window.latest.reset();
  }
  if (operations <= window.operations) {  // nothing since, or a reset
    begin_window(window, reading, now);
    return;
  }
  const Nanoseconds age = now - window.begin;
  const bool enough = age >= kShortestWindow && operations - window.operations >= needed;
  if (enough) {
    const auto bucket = p99_bucket(window.counts, reading.queue_time, needed);
    window.latest = bucket ? std::optional(SlowRequests{*bucket, window.begin, now}) : std::nullopt;
  }
  if (enough || age >= kLongestWindow) {
    begin_window(window, reading, now);
  }
}

const IoOperationReading& of(const BlockIoReading& reading, IoOperation operation) {
  return reading.by_operation.at(static_cast<std::size_t>(operation));
}

// Uses before the first reading are nobody's news.
void begin(PartyState& party, const BlockIoReading& reading, BootTime now) {
  party.device_microseconds = device_microseconds(reading);
  begin_window(party.read, of(reading, IoOperation::kRead), now);
  begin_window(party.write, of(reading, IoOperation::kWrite), now);
}

void follow(PartyState& party,
            const BlockIoReading& reading,
            BootTime now,
            double keep,
            std::uint64_t needed) {
  const std::uint64_t used = device_microseconds(reading);
  party.recent_microseconds *= keep;
  if (used > party.device_microseconds) {
    party.recent_microseconds += static_cast<double>(used - party.device_microseconds);
  }
  party.device_microseconds = used;
  follow(party.read, of(reading, IoOperation::kRead), now, needed);
  follow(party.write, of(reading, IoOperation::kWrite), now, needed);
}

using Parties = std::map<std::pair<DeviceId, std::optional<VmId>>, PartyState>;

std::vector<DeviceUse> shares_of(const Parties& parties, double recent_seconds) {
  std::vector<DeviceUse> devices;
  for (auto at = parties.begin(); at != parties.end();) {
    const DeviceId device = at->first.first;
    auto end = at;
    double total = 0;
    for (; end != parties.end() && end->first.first == device; ++end) {
      total += end->second.recent_microseconds;
    }
    if (total >= kLeastMicroseconds) {
      DeviceUse& use = devices.emplace_back();
      use.device = device;
      use.in_device = total / 1e6 / recent_seconds;
      use.parties.reserve(static_cast<std::size_t>(std::distance(at, end)));
      for (; at != end; ++at) {
        const PartyState& party = at->second;
        use.parties.push_back({.vm = at->first.second,
                               .share = party.recent_microseconds / total,
                               .read = party.read.latest,
                               .write = party.write.latest});
      }
    }
    at = end;
  }
  return devices;
}

}  // namespace

std::vector<DeviceUse> measure_io(IoSharesState& state,
                                  const Snapshot& snapshot,
                                  std::uint32_t min_operations) {
  const BootTime now = snapshot.boot_time;
  if (state.last && (now <= *state.last || now - *state.last > kLongestWindow)) {
    state = {};  // of another time
  }
  const double elapsed = state.last ? to_seconds(now - *state.last) : 0;
  const double keep = std::exp2(-elapsed / kHalfLifeSeconds);
  state.last = now;
  state.recent_seconds = state.recent_seconds * keep + elapsed;
  for (const BlockIoReading& reading : snapshot.block_io) {
    if (reading.counts_only) {
      continue;
    }
    const auto [at, is_new] = state.parties.try_emplace({reading.device, reading.vm});
    PartyState& party = at->second;
    if (is_new) {
      begin(party, reading, now);
    } else if (party.seen != now) {  // a second reading of the same pair has no meaning
      follow(party, reading, now, keep, min_operations);
    }
    party.seen = now;
  }
  std::erase_if(state.parties, [&](const auto& entry) { return entry.second.seen != now; });
  return shares_of(state.parties, state.recent_seconds);
}

}  // namespace hvguard
