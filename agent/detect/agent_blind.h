// agent_blind: what hvguard cannot see, and what is therefore not watched: one Finding per source
// that is blind, stale or degraded to a fallback, and one for the sampler as a whole when it is
// late. Pure; called once per tick. Needs nothing.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "model/config.h"
#include "model/incident.h"
#include "model/snapshot.h"

namespace hvguard {

struct AgentBlindState {
  struct Trouble {
    std::uint32_t tick_count = 0;  // in a row
    BootTime since;
  };
  std::array<Trouble, kSourceCount> sources{};
};

// What can be said of one source in this Snapshot. Blind: stated, or its last reading is more than
// three ticks old although it should be read in every one.
[[nodiscard]] SourceState effective_state(const Snapshot& snapshot, Source source);

[[nodiscard]] std::vector<Finding> detect_agent_blind(const AgentBlindConfig& config,
                                                      AgentBlindState& state,
                                                      const Snapshot& snapshot);

// The sampler gives no Snapshots. last_seen: the time of the last one, if there was any.
[[nodiscard]] Finding sampler_late_finding(BootTime now,
                                           std::optional<BootTime> last_seen,
                                           const std::string& breadcrumb);

}  // namespace hvguard
