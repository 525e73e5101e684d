// What each command of hvguardctl shows, as text. Pure: answers of the API in, lines out.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ctl/options.h"
#include "ctl/table.h"
#include "hvguard/v1/agent_service.pb.h"
#include "hvguard/v1/core_link.pb.h"

namespace hvguard::ctl {

[[nodiscard]] std::string status_view(const v1::Status& status, const Style& style);
// In the order wanted; the answer must have device_ios.
[[nodiscard]] std::string vms_view(const v1::ListVmsResponse& answer,
                                   VmOrder order,
                                   const Style& style);
// incidents: those open about this VM.
[[nodiscard]] std::string vm_view(const v1::Vm& vm,
                                  const v1::ListIncidentsResponse& incidents,
                                  const Style& style);
[[nodiscard]] std::string tasks_view(const v1::ListBlockedTasksResponse& answer,
                                     bool stack,
                                     const Style& style);
[[nodiscard]] std::string incidents_view(const v1::ListIncidentsResponse& answer,
                                         const Style& style);
[[nodiscard]] std::string incident_view(const v1::Incident& incident, const Style& style);
// By VM; what went wrong with one stands below the table.
[[nodiscard]] std::string limits_view(const google::protobuf::RepeatedPtrField<v1::Limit>& limits,
                                      const Style& style);
// What came of a request to change something.
[[nodiscard]] std::string admin_view(const v1::AdminReply& reply,
                                     bool validate_only,
                                     const Style& style);
[[nodiscard]] std::string mode_view(const v1::Status& status);
// All that `why` tells from.
struct WhyAnswer {
  v1::GetVmResponse vm;
  std::vector<v1::Incident> incidents;  // about the VM, or behind a limit or decision
  v1::ListDecisionsResponse decisions;  // about the VM
};
[[nodiscard]] std::string why_view(const WhyAnswer& answer, const Style& style);
[[nodiscard]] std::string why_json(const WhyAnswer& answer);
// One line per event of a watch.
[[nodiscard]] std::string watched_view(const v1::WatchIncidentsResponse& response,
                                       const Style& style);

// Parts used by several views.
[[nodiscard]] Tone tone_of(v1::Incident::Severity severity);
[[nodiscard]] std::string severity_text(v1::Incident::Severity severity);
[[nodiscard]] std::string kind_text(v1::Incident::Kind kind);
[[nodiscard]] std::string limit_state_text(v1::Limit::State state);
[[nodiscard]] std::string mode_text(v1::AgentStatus::Mode mode);

}  // namespace hvguard::ctl
