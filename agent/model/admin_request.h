// What a person on the host or the control plane asks of the guard. Parsed and bounded by publish/,
// judged by decide/ against the host's own policy, whoever asks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "model/incident.h"
#include "model/limit.h"

namespace hvguard {

// The origin of the limit is that of the request.
struct SetLimitAction {
  LimitKey key;
  std::uint64_t value = 0;
  Nanoseconds lease{0};  // from the request's time
};

// Those of this VM that SetLimit made; never what a baseline or a guard rule holds.
struct ReleaseLimitAction {
  VmId vm;
  std::optional<LimitKey> key;  // none: all of them
};

struct SetModeAction {
  std::optional<LimitMode> mode;  // until the next start; none: as configured
};

struct SetCordonAction {
  bool cordoned = false;  // until the next start
};

struct AcknowledgeIncidentAction {
  std::string incident_id;
};

struct ReloadConfigAction {};

using AdminAction = std::variant<SetLimitAction,
                                 ReleaseLimitAction,
                                 SetModeAction,
                                 SetCordonAction,
                                 AcknowledgeIncidentAction,
                                 ReloadConfigAction>;

struct AdminRequest {
  // Chosen by who asks, 1 to 64 letters, digits, '.', '_', '-'; sent again, it changes nothing.
  std::string request_id;
  std::string who;                              // "uid 0, pid 4711", "control plane cp1"; safe text
  std::string reason;                           // never empty; safe text, at most 256 bytes
  LimitOrigin origin = LimitOrigin::kOperator;  // or kControlPlane
  bool validate_only = false;
  AdminAction action;
};

// What results, or would with validate_only: what fits the action, and nothing else.
struct AdminAnswer {
  std::vector<Limit> limits;         // of SetLimit the one; of ReleaseLimit those that go
  std::optional<LimitMode> mode;     // of SetMode
  std::optional<bool> cordoned;      // of SetCordon
  std::optional<Incident> incident;  // of AcknowledgeIncident
  std::string note;                  // what else is worth knowing; safe text, may be empty
};

}  // namespace hvguard
