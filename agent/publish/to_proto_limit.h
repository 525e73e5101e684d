// Limits, Outcomes and Decisions → published proto, and kinds back. Pure; the loop thread.
// (tests/unit/publish/to_proto_limit_test.cpp)
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "hvguard/v1/limit.pb.h"
#include "hvguard/v1/status.pb.h"
#include "model/limit.h"
#include "model/tick_result.h"
#include "publish/to_proto.h"

namespace hvguard::publish {

[[nodiscard]] v1::AgentStatus::Mode to_proto(LimitMode mode);
[[nodiscard]] v1::Limit::Kind to_proto(LimitKind kind);
[[nodiscard]] v1::Limit::Origin to_proto(LimitOrigin origin);
[[nodiscard]] v1::Limit::State to_proto(OutcomeState state);
[[nodiscard]] v1::Limit::Lever to_proto(LeverKind lever);
[[nodiscard]] v1::Decision::Step to_proto(DecisionStep step);
// None: unspecified, or a value of a later version.
[[nodiscard]] std::optional<LimitKind> limit_kind_from_proto(v1::Limit::Kind kind);
[[nodiscard]] std::optional<LimitMode> limit_mode_from_proto(v1::AgentStatus::Mode mode);

// What people call VMs and devices; the views live as long as the Snapshot. Empty without one.
struct Labels {
  std::map<VmId, std::string_view> vms;
  DeviceNames devices;
};
[[nodiscard]] Labels labels_of(const Snapshot* snapshot);

// A limit that should hold; its state is "dry run" or "pending".
[[nodiscard]] v1::Limit to_proto(const Limit& limit, const Labels& labels, const ClockPair& clocks);
// `sequence` as Decision.sequence.
[[nodiscard]] v1::Decision to_proto(const Decision& decision,
                                    std::uint64_t sequence,
                                    const Labels& labels,
                                    const ClockPair& clocks);

// The limits of the result, each with what is known of it in the kernel; also those that are only
// known there: released ones, and those that someone else changed. By key.
[[nodiscard]] std::vector<v1::Limit> limits_to_proto(const TickResult& result,
                                                     const ClockPair& now);
// The three limit counts of a status.
void count_limits(const std::vector<v1::Limit>& limits, v1::StatusCounts& counts);

}  // namespace hvguard::publish
