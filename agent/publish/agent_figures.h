// What hvguardd knows of itself, for GetStatus. Filled by guard/ once per tick.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/time.h"

namespace hvguard::publish {

// Element i counts main-loop handlers that took [2^i, 2^(i+1)) microseconds; element 0 also shorter
// ones, the last one also longer ones (33 s and up).
inline constexpr std::size_t kHandlerTimeBuckets = 26;

// Lost at bounds since the start.
struct Drops {
  std::uint64_t frame_count = 0;
  std::uint64_t log_count = 0;
  std::uint64_t journal_count = 0;
  std::uint64_t refused_request_count = 0;
  std::uint64_t trimmed_count = 0;
};

struct AgentFigures {
  std::string version;
  WallTime start_time;
  std::uint64_t epoch = 0;
  std::uint64_t tick_count = 0;          // finished ones
  std::uint64_t skipped_tick_count = 0;  // holes in the numbers of the finished ones
  Nanoseconds step_duration{0};          // of the tick before this one
  Nanoseconds max_handler_duration{0};
  std::array<std::uint64_t, kHandlerTimeBuckets> handler_time_buckets{};
  std::string reload_error;        // empty: the last reload worked, or there was none
  std::uint64_t reload_count = 0;  // reloads that ended, refused ones included
  Drops drops;
};

}  // namespace hvguard::publish
