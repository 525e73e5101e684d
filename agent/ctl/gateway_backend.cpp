#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>

#include "base/text.h"
#include "ctl/backend.h"
#include "ctl/socket_probe.h"
#include "hvguard/v1/admin_service.grpc.pb.h"
#include "hvguard/v1/agent_service.grpc.pb.h"

namespace hvguard::ctl {
namespace {

constexpr std::size_t kMaxMessageBytes = 1024;

Errc errc_of(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::NOT_FOUND:
      return Errc::kNotFound;
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::UNAUTHENTICATED:
      return Errc::kDenied;
    case grpc::StatusCode::UNIMPLEMENTED:
      return Errc::kUnsupported;
    case grpc::StatusCode::INVALID_ARGUMENT:
      return Errc::kInvalid;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return Errc::kTimeout;
    case grpc::StatusCode::UNAVAILABLE:
      return Errc::kUnavailable;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return Errc::kExhausted;
    default:
      return Errc::kInternal;
  }
}

class GatewayBackend final : public Backend {
 public:
  GatewayBackend(std::string path, Nanoseconds timeout)
      : path_(std::move(path)), timeout_(timeout) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    // The socket's path would otherwise be the HTTP/2 authority.
    arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
    const auto channel =
        grpc::CreateCustomChannel("unix:" + path_, grpc::InsecureChannelCredentials(), arguments);
    stub_ = v1::AgentService::NewStub(channel);
    admin_stub_ = v1::AdminService::NewStub(channel);
  }

  Result<v1::GetStatusResponse> get_status() override {
    return ask<v1::GetStatusResponse>(&v1::AgentService::Stub::GetStatus, v1::GetStatusRequest());
  }
  Result<v1::ListVmsResponse> list_vms(const v1::ListVmsRequest& request) override {
    return ask<v1::ListVmsResponse>(&v1::AgentService::Stub::ListVms, request);
  }
  Result<v1::GetVmResponse> get_vm(const v1::GetVmRequest& request) override {
    return ask<v1::GetVmResponse>(&v1::AgentService::Stub::GetVm, request);
  }
  Result<v1::ListBlockedTasksResponse> list_blocked_tasks(
      const v1::ListBlockedTasksRequest& request) override {
    return ask<v1::ListBlockedTasksResponse>(&v1::AgentService::Stub::ListBlockedTasks, request);
  }
  Result<v1::ListIncidentsResponse> list_incidents(
      const v1::ListIncidentsRequest& request) override {
    return ask<v1::ListIncidentsResponse>(&v1::AgentService::Stub::ListIncidents, request);
  }
  Result<v1::GetIncidentResponse> get_incident(const v1::GetIncidentRequest& request) override {
    return ask<v1::GetIncidentResponse>(&v1::AgentService::Stub::GetIncident, request);
  }
  Result<v1::ListLimitsResponse> list_limits(const v1::ListLimitsRequest& request) override {
    return ask<v1::ListLimitsResponse>(&v1::AgentService::Stub::ListLimits, request);
  }
  Result<v1::ListDecisionsResponse> list_decisions(
      const v1::ListDecisionsRequest& request) override {
    return ask<v1::ListDecisionsResponse>(&v1::AgentService::Stub::ListDecisions, request);
  }

  Result<v1::AdminReply> admin(const v1::AdminCall& call) override {
    using Stub = v1::AdminService::Stub;
    v1::AdminReply reply;
    Result<> done;
    switch (call.kind_case()) {
      case v1::AdminCall::kSetLimit:
        done = change(&Stub::SetLimit, call.set_limit(), *reply.mutable_set_limit());
        break;
      case v1::AdminCall::kReleaseLimit:
        done = change(&Stub::ReleaseLimit, call.release_limit(), *reply.mutable_release_limit());
        break;
      case v1::AdminCall::kSetMode:
        done = change(&Stub::SetMode, call.set_mode(), *reply.mutable_set_mode());
        break;
      case v1::AdminCall::kSetCordon:
        done = change(&Stub::SetCordon, call.set_cordon(), *reply.mutable_set_cordon());
        break;
      case v1::AdminCall::kAcknowledgeIncident:
        done = change(&Stub::AcknowledgeIncident,
                      call.acknowledge_incident(),
                      *reply.mutable_acknowledge_incident());
        break;
      case v1::AdminCall::kReloadConfig:
        done = change(&Stub::ReloadConfig, call.reload_config(), *reply.mutable_reload_config());
        break;
      case v1::AdminCall::KIND_NOT_SET:
        return fail(Errc::kInvalid, "the request asks for nothing");
    }
    if (!done) {
      return fail(std::move(done.error()));
    }
    return reply;
  }

  Result<> watch_incidents(const v1::WatchIncidentsRequest& request,
                           const OnWatched& on_watched) override {
    grpc::ClientContext context;
    const auto stream = stub_->WatchIncidents(&context, request);
    v1::WatchIncidentsResponse response;
    while (stream->Read(&response)) {
      if (!on_watched(response)) {
        context.TryCancel();
        return {};
      }
    }
    const grpc::Status status = stream->Finish();
    if (status.ok()) {
      return fail(Errc::kUnavailable, "hvguard-gateway ended the watch: watch again");
    }
    return fail(explained(status));
  }

 private:
  template <class Response, class Method, class Request>
  Result<Response> ask(Method method, const Request& request) {
    Response response;
    if (auto done = call(*stub_, method, request, response); !done) {
      return fail(std::move(done.error()));
    }
    return response;
  }

  template <class Method, class Request, class Response>
  Result<> change(Method method, const Request& request, Response& response) {
    return call(*admin_stub_, method, request, response);
  }

  template <class Stub, class Method, class Request, class Response>
  Result<> call(Stub& stub, Method method, const Request& request, Response& response) const {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::duration_cast<std::chrono::microseconds>(timeout_));
    const grpc::Status status = (stub.*method)(&context, request, &response);
    return status.ok() ? Result<>() : Result<>(fail(explained(status)));
  }

  Error explained(const grpc::Status& status) const {
    Error error{
        errc_of(status.error_code()), 0, safe_text(status.error_message(), kMaxMessageBytes)};
    if (error.code == Errc::kTimeout) {
      error.code = Errc::kUnavailable;
      error.message = fmt::format(
          "hvguard-gateway at {} did not answer within {}: `systemctl status "
          "hvguard-gateway`",
          path_,
          format_duration(timeout_));
    }
    return error.code == Errc::kUnavailable ? explain_unreachable(path_, std::move(error)) : error;
  }

  const std::string path_;
  const Nanoseconds timeout_;
  std::unique_ptr<v1::AgentService::Stub> stub_;
  std::unique_ptr<v1::AdminService::Stub> admin_stub_;
};

}  // namespace

std::unique_ptr<Backend> make_gateway_backend(const Options& options) {
  // gRPC would write its own words beside ours.
  gpr_set_log_function([](gpr_log_func_args*) {});
  return std::make_unique<GatewayBackend>(options.socket, options.timeout);
}

}  // namespace hvguard::ctl
