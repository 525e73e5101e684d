// Answers to the read requests of AgentService, from one Mirror: pure, no I/O, any thread. The
// gateway sends them as they are; hvguardctl --direct shows them.
// Fails: kInvalid (the request is wrong; says what and how to put it right), kNotFound.
#pragma once

#include "base/result.h"
#include "hvguard/v1/agent_service.pb.h"
#include "link/mirror.h"

namespace hvguard::link {

inline constexpr std::int32_t kDefaultPageSize = 100;
inline constexpr std::int32_t kMaxPageSize = 1000;
// A page ends early when its items are this large, so that no answer comes near gRPC's 4 MiB.
inline constexpr std::size_t kMaxPageBytes = 1024 * 1024;
// Of GetIncident.
inline constexpr int kMaxIncidentLimits = 256;

[[nodiscard]] v1::GetStatusResponse get_status(const Mirror& mirror);
Result<v1::ListVmsResponse> list_vms(const Mirror& mirror, const v1::ListVmsRequest& request);
Result<v1::GetVmResponse> get_vm(const Mirror& mirror, const v1::GetVmRequest& request);
Result<v1::ListBlockedTasksResponse> list_blocked_tasks(const Mirror& mirror,
                                                        const v1::ListBlockedTasksRequest& request);
Result<v1::ListIncidentsResponse> list_incidents(const Mirror& mirror,
                                                 const v1::ListIncidentsRequest& request);
Result<v1::GetIncidentResponse> get_incident(const Mirror& mirror,
                                             const v1::GetIncidentRequest& request);
Result<v1::ListLimitsResponse> list_limits(const Mirror& mirror,
                                           const v1::ListLimitsRequest& request);
Result<v1::ListDecisionsResponse> list_decisions(const Mirror& mirror,
                                                 const v1::ListDecisionsRequest& request);
// What was decided for an incident, and the limits that answer it; at most kMaxIncidentLimits.
void add_answers_to(const Mirror& mirror,
                    const std::string& incident_id,
                    v1::GetIncidentResponse& response);

// For watches: whether a filter makes sense, and whether an incident fits one that does.
Result<> check(const v1::IncidentFilter& filter);
[[nodiscard]] bool fits(const v1::IncidentFilter& filter, const v1::Incident& incident);

}  // namespace hvguard::link
