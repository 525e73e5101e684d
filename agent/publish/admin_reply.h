// What hvguardd answers to an AdminRequest, as core.sock sends it. Pure; the loop thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "hvguard/v1/core_link.pb.h"
#include "model/admin_request.h"
#include "publish/to_proto_limit.h"

namespace hvguard::publish {

// ReleaseLimitResponse lists at most this many; the count is of all.
inline constexpr std::size_t kMaxAnsweredLimits = 64;

[[nodiscard]] v1::AdminReply admin_error(const Error& error);
// `reload_count` is that of AgentFigures before the request.
[[nodiscard]] v1::AdminReply admin_reply(const AdminRequest& request,
                                         const Result<AdminAnswer>& answer,
                                         std::uint64_t reload_count,
                                         const Labels& labels,
                                         const ClockPair& clocks);

// The reply as one packet of core.sock.
[[nodiscard]] std::string encode_admin_reply(v1::AdminReply reply);

}  // namespace hvguard::publish
