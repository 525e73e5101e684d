// How long main-loop handlers take: a log2 histogram and the longest one. Loop thread only.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "base/time.h"
#include "publish/agent_figures.h"

namespace hvguard::guard {

struct HandlerTimes {
  std::array<std::uint64_t, publish::kHandlerTimeBuckets> buckets{};
  Nanoseconds longest{0};

  void add(Nanoseconds duration) {
    longest = std::max(longest, duration);
    const auto count = std::max<std::int64_t>(
        1, std::chrono::duration_cast<std::chrono::microseconds>(duration).count());
    const auto bucket = static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(count)));
    ++buckets.at(std::min(bucket - 1, buckets.size() - 1));
  }
};

}  // namespace hvguard::guard
