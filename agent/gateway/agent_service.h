// AgentService over the mirror: each call copies a pointer, answers from it and finishes; nothing
// blocks. Called by gRPC on its threads.
#pragma once

#include "gateway/incident_hub.h"
#include "gateway/status_hub.h"
#include "hvguard/v1/agent_service.grpc.pb.h"
#include "link/mirror.h"

namespace hvguard::gateway {

class AgentService final : public v1::AgentService::CallbackService {
 public:
  // All must outlive the service.
  AgentService(const link::MirrorSlot& slot, IncidentHub& incidents, StatusHub& statuses)
      : slot_(slot), incidents_(incidents), statuses_(statuses) {}

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::GetStatusRequest* request,
                                      v1::GetStatusResponse* response) override;
  grpc::ServerUnaryReactor* ListVms(grpc::CallbackServerContext* context,
                                    const v1::ListVmsRequest* request,
                                    v1::ListVmsResponse* response) override;
  grpc::ServerUnaryReactor* GetVm(grpc::CallbackServerContext* context,
                                  const v1::GetVmRequest* request,
                                  v1::GetVmResponse* response) override;
  grpc::ServerUnaryReactor* ListBlockedTasks(grpc::CallbackServerContext* context,
                                             const v1::ListBlockedTasksRequest* request,
                                             v1::ListBlockedTasksResponse* response) override;
  grpc::ServerUnaryReactor* ListIncidents(grpc::CallbackServerContext* context,
                                          const v1::ListIncidentsRequest* request,
                                          v1::ListIncidentsResponse* response) override;
  grpc::ServerUnaryReactor* GetIncident(grpc::CallbackServerContext* context,
                                        const v1::GetIncidentRequest* request,
                                        v1::GetIncidentResponse* response) override;
  grpc::ServerUnaryReactor* ListLimits(grpc::CallbackServerContext* context,
                                       const v1::ListLimitsRequest* request,
                                       v1::ListLimitsResponse* response) override;
  grpc::ServerUnaryReactor* ListDecisions(grpc::CallbackServerContext* context,
                                          const v1::ListDecisionsRequest* request,
                                          v1::ListDecisionsResponse* response) override;
  grpc::ServerWriteReactor<v1::WatchIncidentsResponse>* WatchIncidents(
      grpc::CallbackServerContext* context, const v1::WatchIncidentsRequest* request) override;
  grpc::ServerWriteReactor<v1::WatchStatusResponse>* WatchStatus(
      grpc::CallbackServerContext* context, const v1::WatchStatusRequest* request) override;

 private:
  const link::MirrorSlot& slot_;
  IncidentHub& incidents_;
  StatusHub& statuses_;
};

}  // namespace hvguard::gateway
