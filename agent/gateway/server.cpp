#include "gateway/server.h"

#include <utility>

#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>

#include "gateway/authorizer.h"
#include "gateway/log.h"
#include "hvguard/v1/admin_service.grpc.pb.h"
#include "hvguard/v1/agent_service.grpc.pb.h"

namespace hvguard::gateway {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr int kMaxRequestBytes = 64 * 1024;  // requests are tiny
constexpr int kMaxMetadataBytes = 8 * 1024;
constexpr int kMaxStreamsPerConnection = 32;
// Without a quota a server's memory grows with what its peers do not read (grpc 1.51: 1 GB
// measured).
constexpr std::size_t kQuotaBytes = std::size_t{32} * 1024 * 1024;
// Reflection is the one synchronous service: each of its streams holds a thread.
constexpr int kMaxSynchronousThreads = 4;

int whole_milliseconds(milliseconds duration) {
  return static_cast<int>(duration.count());
}

void set_bounds(grpc::ServerBuilder& builder) {
  grpc::ResourceQuota quota("hvguard-gateway");
  quota.Resize(kQuotaBytes);
  quota.SetMaxThreads(kMaxSynchronousThreads);
  builder.SetResourceQuota(quota);
  builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);

  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // The default of 120 s lets a peer hold a connection by saying nothing.
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, whole_milliseconds(seconds(10)));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, whole_milliseconds(seconds(60)));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, whole_milliseconds(seconds(20)));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             whole_milliseconds(seconds(20)));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, whole_milliseconds(minutes(15)));
  // Without a grace period a long stream is never closed by age.
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, whole_milliseconds(hours(1)));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, whole_milliseconds(minutes(1)));
}

std::shared_ptr<grpc::ServerCredentials> credentials_of(Role role, bool reflection) {
  // "Local" says only that the socket is AF_UNIX; that is all we ask of it. Plain insecure
  // credentials would ignore the authorizer.
  auto credentials = grpc::experimental::LocalServerCredentials(UDS);
  credentials->SetAuthMetadataProcessor(std::make_shared<Authorizer>(role, reflection));
  return credentials;
}

void log_of_grpc(gpr_log_func_args* args) {
  // gRPC calls a plain function, so the limit has nowhere else to live.
  static RateLimit limit{5, seconds(10)};
  log_limited(limit, Level::kWarning, fmt::format("gRPC: {}", args->message));
}

}  // namespace

Result<std::unique_ptr<Server>> Server::start(const std::vector<grpc::Service*>& services,
                                              bool reflection) {
  grpc::EnableDefaultHealthCheckService(true);
  if (reflection) {
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  }
  std::unique_ptr<Server> server(new Server());
  grpc::ServerBuilder builder;
  set_bounds(builder);
  for (const Role role : {Role::kViewer, Role::kOperator}) {
    server->acceptors_[static_cast<std::size_t>(role)] =
        builder.experimental().AddExternalConnectionAcceptor(
            grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
            credentials_of(role, reflection));
  }
  for (grpc::Service* const service : services) {
    builder.RegisterService(service);
  }
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr) {
    return fail(Errc::kInternal, "gRPC did not start; its own message is in the log");
  }
  server->set_serving(false);
  return server;
}

void Server::take(Role role, UniqueFd connection) {
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
  parameters.fd = connection.release();  // gRPC closes it
  acceptors_[static_cast<std::size_t>(role)]->HandleNewConnection(&parameters);
}

void Server::set_serving(bool serving) {
  auto* health = server_->GetHealthCheckService();
  health->SetServingStatus("", serving);
  health->SetServingStatus(v1::AgentService::service_full_name(), serving);
  health->SetServingStatus(v1::AdminService::service_full_name(), serving);
}

void Server::shutdown(Nanoseconds within) {
  server_->Shutdown(std::chrono::system_clock::now() +
                    std::chrono::duration_cast<std::chrono::microseconds>(within));
}

void limit_library_logs() {
  // Protobuf's words about broken messages say nothing that our own errors do not.
  google::protobuf::SetLogHandler(nullptr);
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
  gpr_set_log_function(log_of_grpc);
}

}  // namespace hvguard::gateway
