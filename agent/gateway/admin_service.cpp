#include "gateway/admin_service.h"

#include <algorithm>

#include "gateway/grpc_status.h"

namespace hvguard::gateway {
namespace {

constexpr std::size_t kMaxCallerPids = 16;  // AdminCaller.pids

}  // namespace

template <class Response, class Take>
grpc::ServerUnaryReactor* AdminService::ask(grpc::CallbackServerContext* context,
                                            v1::AdminCall call,
                                            Response* response,
                                            Take take) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  v1::AdminCaller& caller = *call.mutable_caller();
  caller.set_uid(0);  // role_of() makes nobody else an operator
  std::vector<pid_t> pids = operator_pids_();
  pids.resize(std::min(pids.size(), kMaxCallerPids));
  for (const pid_t pid : pids) {
    caller.add_pids(static_cast<std::uint32_t>(pid));
  }
  desk_.ask(std::move(call), [reactor, response, take](Result<v1::AdminReply> reply) {
    if (!reply) {
      reactor->Finish(to_status(reply.error()));
      return;
    }
    Response* const answer = take(*reply);
    if (answer == nullptr) {
      reactor->Finish({grpc::StatusCode::INTERNAL,
                       "hvguardd answered another question: are hvguardd and hvguard-gateway of "
                       "the same version?"});
      return;
    }
    *response = std::move(*answer);
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

grpc::ServerUnaryReactor* AdminService::SetLimit(grpc::CallbackServerContext* context,
                                                 const v1::SetLimitRequest* request,
                                                 v1::SetLimitResponse* response) {
  v1::AdminCall call;
  *call.mutable_set_limit() = *request;
  return ask(context, std::move(call), response, [](v1::AdminReply& reply) {
    return reply.has_set_limit() ? reply.mutable_set_limit() : nullptr;
  });
}

grpc::ServerUnaryReactor* AdminService::ReleaseLimit(grpc::CallbackServerContext* context,
                                                     const v1::ReleaseLimitRequest* request,
                                                     v1::ReleaseLimitResponse* response) {
  v1::AdminCall call;
  *call.mutable_release_limit() = *request;
  return ask(context, std::move(call), response, [](v1::AdminReply& reply) {
    return reply.has_release_limit() ? reply.mutable_release_limit() : nullptr;
  });
}

grpc::ServerUnaryReactor* AdminService::SetMode(grpc::CallbackServerContext* context,
                                                const v1::SetModeRequest* request,
                                                v1::SetModeResponse* response) {
  v1::AdminCall call;
  *call.mutable_set_mode() = *request;
  return ask(context, std::move(call), response, [](v1::AdminReply& reply) {
    return reply.has_set_mode() ? reply.mutable_set_mode() : nullptr;
  });
}

grpc::ServerUnaryReactor* AdminService::SetCordon(grpc::CallbackServerContext* context,
                                                  const v1::SetCordonRequest* request,
                                                  v1::SetCordonResponse* response) {
  v1::AdminCall call;
  *call.mutable_set_cordon() = *request;
  return ask(context, std::move(call), response, [](v1::AdminReply& reply) {
    return reply.has_set_cordon() ? reply.mutable_set_cordon() : nullptr;
  });
}

grpc::ServerUnaryReactor* AdminService::AcknowledgeIncident(
    grpc::CallbackServerContext* context,
    const v1::AcknowledgeIncidentRequest* request,
    v1::AcknowledgeIncidentResponse* response) {
  v1::AdminCall call;
  *call.mutable_acknowledge_incident() = *request;
  return ask(context, std::move(call), response, [](v1::AdminReply& reply) {
    return reply.has_acknowledge_incident() ? reply.mutable_acknowledge_incident() : nullptr;
  });
}

grpc::ServerUnaryReactor* AdminService::ReloadConfig(grpc::CallbackServerContext* context,
                                                     const v1::ReloadConfigRequest* request,
                                                     v1::ReloadConfigResponse* response) {
  v1::AdminCall call;
  *call.mutable_reload_config() = *request;
  return ask(context, std::move(call), response, [](v1::AdminReply& reply) {
    return reply.has_reload_config() ? reply.mutable_reload_config() : nullptr;
  });
}

}  // namespace hvguard::gateway
