// AdminService: hands each call to the AdminDesk and finishes when that has an answer; nothing
// blocks. Whether a caller may is the Authorizer's to say (roles.h). Called by gRPC on its threads.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "gateway/admin_desk.h"
#include "hvguard/v1/admin_service.grpc.pb.h"

namespace hvguard::gateway {

class AdminService final : public v1::AdminService::CallbackService {
 public:
  // Process ids of the operators who are connected now; any thread.
  using OperatorPids = std::function<std::vector<pid_t>()>;

  // The desk must outlive the service.
  AdminService(AdminDesk& desk, OperatorPids operator_pids)
      : desk_(desk), operator_pids_(std::move(operator_pids)) {}

  grpc::ServerUnaryReactor* SetLimit(grpc::CallbackServerContext* context,
                                     const v1::SetLimitRequest* request,
                                     v1::SetLimitResponse* response) override;
  grpc::ServerUnaryReactor* ReleaseLimit(grpc::CallbackServerContext* context,
                                         const v1::ReleaseLimitRequest* request,
                                         v1::ReleaseLimitResponse* response) override;
  grpc::ServerUnaryReactor* SetMode(grpc::CallbackServerContext* context,
                                    const v1::SetModeRequest* request,
                                    v1::SetModeResponse* response) override;
  grpc::ServerUnaryReactor* SetCordon(grpc::CallbackServerContext* context,
                                      const v1::SetCordonRequest* request,
                                      v1::SetCordonResponse* response) override;
  grpc::ServerUnaryReactor* AcknowledgeIncident(grpc::CallbackServerContext* context,
                                                const v1::AcknowledgeIncidentRequest* request,
                                                v1::AcknowledgeIncidentResponse* response) override;
  grpc::ServerUnaryReactor* ReloadConfig(grpc::CallbackServerContext* context,
                                         const v1::ReloadConfigRequest* request,
                                         v1::ReloadConfigResponse* response) override;

 private:
  // `take` gets the response out of the reply; null: the reply has another.
  template <class Response, class Take>
  grpc::ServerUnaryReactor* ask(grpc::CallbackServerContext* context,
                                v1::AdminCall call,
                                Response* response,
                                Take take);

  AdminDesk& desk_;
  const OperatorPids operator_pids_;
};

}  // namespace hvguard::gateway
