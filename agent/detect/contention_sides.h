// Who suffers on a device, and from whom: the judgement of io_contention on one tick. Pure.
//
// Someone suffers whose p99 of queue time (reads or writes) is over the bound. That is contention
// if at least two use the device and one of the sufferers takes no more than its fair share, one
// part of as many as use it: whoever waits only for its own requests has no claim on the others.
// Culprits take more than the fair share, a twentieth at least, and twice what such victims take
// on average. There may be none: then the device is too slow for all of them together.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "detect/io_shares.h"

namespace hvguard {

struct ContentionSides {
  std::size_t party_count = 0;  // that use the device
  double fair_share = 0;
  std::vector<const IoParty*> victims;   // slowest first; equal ones by id
  std::vector<const IoParty*> culprits;  // largest share first; equal ones by id
};

// The bucket of its slower direction; none if it has no latency.
[[nodiscard]] std::optional<std::size_t> slowest_bucket(const IoParty& party);

// none: nobody suffers from others. Over the bound is what lies in bound_bucket or above.
[[nodiscard]] std::optional<ContentionSides> find_sides(const DeviceUse& use,
                                                        std::size_t bound_bucket);

}  // namespace hvguard
