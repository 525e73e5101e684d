// Who uses a device, and how long whose requests take: the cost model of io_contention
// (docs/COST_MODEL.md says where it is wrong). Pure; called once per tick. Needs the source
// block_io with its histograms: readings that only count are left out.
//
// Device time of a party is what its requests spent in the device, one after the other: each
// counts with the middle of its log2 bucket of device_time. Requests that are in the device
// together count each in full, so the sum over all parties exceeds the clock wherever the device
// works on several at once; a party's share is its part of that sum. Bytes are not asked: on most
// devices a small random read costs as much as a large one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "model/snapshot.h"

namespace hvguard {

// The 99th percentile of the queue time (waiting and device, what the guest feels) of the requests
// that completed in (begin, end]: the bucket of LatencyHistogram that holds it. At least two
// requests took that long: of a few, the slowest alone says nothing.
struct SlowRequests {
  std::size_t p99_bucket = 0;
  BootTime begin;
  BootTime end;
};

// One that uses a device: a VM, or (none) all that belongs to no VM.
struct IoParty {
  std::optional<VmId> vm;
  double share = 0;  // of all parties' device time in the last few seconds, 0 to 1
  // Of the latest window with enough requests; none if there was none lately.
  std::optional<SlowRequests> read;
  std::optional<SlowRequests> write;
};

struct DeviceUse {
  DeviceId device;
  double in_device = 0;  // requests in the device at a time, on average over the last few seconds
  std::vector<IoParty> parties;  // in the order of their ids, those of no VM first
};

// Requests of one direction since the window began. It closes at the first tick, after a second or
// so, by which enough of them completed, and begins anew while there are none.
struct LatencyWindow {
  BootTime begin;
  std::uint64_t operations = 0;  // at its beginning, as the counts below
  LatencyHistogram counts{};
  std::optional<SlowRequests> latest;
};
// A party whose requests are too few for one window in this time has no latency.
inline constexpr Nanoseconds kLongestWindow = std::chrono::seconds(5);

struct PartyState {
  BootTime seen;
  std::uint64_t device_microseconds = 0;  // since the VM was found, by the model
  double recent_microseconds = 0;         // fading
  LatencyWindow read;
  LatencyWindow write;
};

// Bounded by the readings of one Snapshot: a pair that has none is forgotten.
struct IoSharesState {
  std::optional<BootTime> last;
  double recent_seconds = 0;  // fading as the parties' device time does
  std::map<std::pair<DeviceId, std::optional<VmId>>, PartyState> parties;
};

// Devices without device time lately are left out; the others by number.
[[nodiscard]] std::vector<DeviceUse> measure_io(IoSharesState& state,
                                                const Snapshot& snapshot,
                                                std::uint32_t min_operations);

// The ends of a bucket.
[[nodiscard]] constexpr Nanoseconds bucket_begin(std::size_t bucket) {
  return std::chrono::microseconds(std::int64_t{1} << bucket);
}
[[nodiscard]] constexpr Nanoseconds bucket_end(std::size_t bucket) {
  return bucket_begin(bucket + 1);
}

}  // namespace hvguard
