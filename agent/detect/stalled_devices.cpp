#include "detect/stalled_devices.h"

#include <algorithm>
#include <set>

namespace hvguard {
namespace {

std::uint64_t completed_count(const BlockIoReading& reading) {
  std::uint64_t sum = 0;
  for (const IoOperationReading& operation : reading.by_operation) {
    sum += operation.operations.value;
  }
  return sum;
}

std::uint64_t completed_count(const DeviceReading& reading) {
  return reading.read_operations.value_or(Counter{}).value +
         reading.write_operations.value_or(Counter{}).value;
}

std::uint64_t read_and_written(const BlockIoReading& reading) {
  return reading.by_operation[static_cast<std::size_t>(IoOperation::kRead)].operations.value +
         reading.by_operation[static_cast<std::size_t>(IoOperation::kWrite)].operations.value;
}

// Devices that are not listed (not read in this tick, gone, never in diskstats) have no witness.
std::map<DeviceId, DeviceWitness> hear_witnesses(const std::map<DeviceId, DeviceWitness>& before,
                                                 const Snapshot& snapshot) {
  std::map<DeviceId, std::uint64_t> block_io_counts;
  for (const BlockIoReading& reading : snapshot.block_io) {
    block_io_counts[reading.device] += read_and_written(reading);
  }
  std::map<DeviceId, DeviceWitness> now;
  for (const DeviceReading& device : snapshot.devices) {
    if (!device.in_flight_count || !device.read_operations || !device.write_operations) {
      continue;
    }
    DeviceWitness witness;
    witness.device_count = completed_count(device);
    witness.block_io_count = block_io_counts[device.id];
    if (const auto at = before.find(device.id); at != before.end()) {
      const DeviceWitness& old = at->second;
      const bool moved = witness.device_count != old.device_count;
      witness.counts = moved || (old.counts && witness.block_io_count <= old.block_io_count);
      witness.idle = old.idle;
    }
    if (*device.in_flight_count != 0) {
      witness.counts = true;
    } else {
      witness.idle = snapshot.boot_time;
    }
    now.emplace(device.id, witness);
  }
  return now;
}

// When nothing was in flight by the device's own count; none if that cannot be believed.
std::optional<BootTime> idle_by_witness(const StalledDevicesState& state, DeviceId device) {
  const auto at = state.witnesses.find(device);
  if (at == state.witnesses.end() || !at->second.counts) {
    return std::nullopt;
  }
  return at->second.idle;
}

// The same for one reading. While it has flushes in flight it is what was known before them.
std::optional<BootTime> idle_of(const StalledDevicesState& before,
                                StalledDevicesState& after,
                                const IoKey& key,
                                const BlockIoReading& reading) {
  std::optional<BootTime> idle = idle_by_witness(after, reading.device);
  if (reading.flush_in_flight_count.value_or(0) > 0) {
    const auto at = before.idle.find(key);
    idle = at == before.idle.end() ? std::nullopt : std::optional(at->second);
  }
  if (idle) {
    after.idle.emplace(key, *idle);
  }
  return idle;
}

// Since when nothing completed by our own clock. Called only while requests are in flight.
template <class Key>
BootTime own_clock(const std::map<Key, IoProgress>& before,
                   std::map<Key, IoProgress>& after,
                   const Key& key,
                   std::uint64_t completed,
                   BootTime now) {
  IoProgress progress{.completed_count = completed, .since = now};
  if (const auto at = before.find(key);
      at != before.end() && at->second.completed_count == completed) {
    progress.since = std::min(at->second.since, now);
  }
  after.insert_or_assign(key, progress);
  return progress.since;
}

BootTime stalled_since(const BlockIoReading& reading, BootTime own, BootTime now) {
  if (!reading.last_completion && !reading.last_idle) {
    return own;
  }
  const BootTime latest = std::max(reading.last_completion.value_or(BootTime{}),
                                   reading.last_idle.value_or(BootTime{}));
  return std::min(latest, now);
}

}  // namespace

std::vector<StalledIo> find_stalled_io(StalledDevicesState& state, const Snapshot& snapshot) {
  std::vector<StalledIo> stalled;
  StalledDevicesState next;
  next.witnesses = hear_witnesses(state.witnesses, snapshot);
  std::set<DeviceId> covered;
  const BootTime now = snapshot.boot_time;
  for (const BlockIoReading& reading : snapshot.block_io) {
    if (!reading.in_flight_count) {
      continue;
    }
    covered.insert(reading.device);
    const IoKey key(reading.vm, reading.device);
    const auto idle = idle_of(state, next, key, reading);
    if (*reading.in_flight_count == 0 || idle == now) {
      continue;
    }
    const BootTime own =
        own_clock(state.block_io, next.block_io, key, completed_count(reading), now);
    stalled.push_back(
        {.vm = reading.vm,
         .device = reading.device,
         .in_flight_count = *reading.in_flight_count,
         .since = std::max(stalled_since(reading, own, now), idle.value_or(BootTime{}))});
  }
  for (const DeviceReading& reading : snapshot.devices) {
    if (reading.in_flight_count.value_or(0) == 0 || !reading.read_operations) {
      continue;
    }
    // The clock runs for covered ones too, so that a fall-back to these counters has its history.
    const BootTime since =
        own_clock(state.devices, next.devices, reading.id, completed_count(reading), now);
    if (covered.contains(reading.id)) {
      continue;
    }
    stalled.push_back({.vm = std::nullopt,
                       .device = reading.id,
                       .in_flight_count = *reading.in_flight_count,
                       .since = since,
                       .whole_device = true});
  }
  state = std::move(next);
  return stalled;
}

}  // namespace hvguard
