#include "decide/loosening.h"

#include <algorithm>
#include <limits>

namespace hvguard {
namespace {

std::uint64_t doubled(std::uint64_t value) {
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max() - 1;
  return value > most / 2 ? most : value * 2;
}

void loosen(LoosenedLimit& limit, std::uint64_t value, BootTime now, bool at_once) {
  const bool is_new = limit.steps == 0 && !limit.dropped;
  limit.last_seen = now;
  if (limit.dropped || (!is_new && !at_once && now - limit.last_step < kLoosenEvery)) {
    return;
  }
  limit.last_step = now;
  if (at_once || limit.steps >= kLoosenSteps) {
    limit.dropped = true;
    return;
  }
  limit.at_least = doubled(std::max(limit.at_least, value));
  ++limit.steps;
}

}  // namespace

void update_loosened(const SafetyWorld& world, SafetyState& state) {
  const BootTime now = world.input().now;
  if (!world.chains().empty()) {
    const Nanoseconds end = throttle_patience_end(world.input().snapshot);
    for (const HeldLimit& held : state.held) {
      if (held.dry_run) {
        continue;
      }
      if (const auto wait = world.chains().wait_behind(held.key)) {
        loosen(state.loosened[held.key], held.value, now, *wait >= end);
      }
    }
    for (const Limit& wanted : world.input().wanted) {
      if (!wanted.dry_run && world.wish(wanted).held == nullptr &&
          world.chains().wait_behind(wanted.key)) {
        LoosenedLimit& limit = state.loosened[wanted.key];
        limit.dropped = true;
        limit.last_seen = now;
      }
    }
  }
  const bool known = world.is_fresh() && world.sees_io();
  for (auto at = state.loosened.begin(); at != state.loosened.end();) {
    LoosenedLimit& limit = at->second;
    if (!known || world.chains().wait_behind(at->first)) {
      limit.last_seen = now;
    }
    at = now - limit.last_seen >= kThrottleCalmFor ? state.loosened.erase(at) : std::next(at);
  }
}

}  // namespace hvguard
