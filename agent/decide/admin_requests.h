// What people and the control plane have asked for, and still holds: limits with a lease, the mode,
// the cordon. Pure; owned by the Pipeline, loop thread only. It judges whether a
// request makes sense on this host; whether a limit is safe is judged by decide/safety alone.
// Everything here is forgotten when hvguardd ends.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/admin_request.h"
#include "model/config.h"
#include "model/incident.h"
#include "model/limit.h"
#include "model/snapshot.h"

namespace hvguard {

inline constexpr std::size_t kMaxAdminLimits = 256;
// Answered as the first time when they are sent again, as after a broken connection.
inline constexpr std::size_t kRememberedRequests = 64;

struct AdminState {
  std::map<LimitKey, Limit> limits;
  std::optional<LimitMode> mode;                             // none: as configured
  std::optional<std::string> cordon;                         // why; none: not cordoned
  std::deque<std::pair<std::string, AdminAnswer>> answered;  // oldest first
};

struct AdminContext {
  BootTime now;
  const PolicyConfig* policy = nullptr;
  const Snapshot* snapshot = nullptr;                // null: none yet
  const std::vector<Incident>* incidents = nullptr;  // as last published
};

// What the request would lead to, changing nothing. Errors name what is wrong and the remedy:
// kNotFound (VM, device, incident), kInvalid (value, lease), kDenied (by the host's policy),
// kExhausted, kUnavailable (nothing has been read yet).
[[nodiscard]] Result<AdminAnswer> judge_request(const AdminState& state,
                                                const AdminContext& context,
                                                const AdminRequest& request);
// Does what was judged to be right.
void apply_request(AdminState& state, const AdminRequest& request, const AdminAnswer& answer);

// The answer to a request that was answered before; null if it is new.
[[nodiscard]] const AdminAnswer* answered_before(const AdminState& state,
                                                 const AdminRequest& request);

// Limits whose time is over or whose VM is gone go.
void expire(AdminState& state, const AdminContext& context);

}  // namespace hvguard
