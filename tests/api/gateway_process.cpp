#include "gateway_process.h"

#include <csignal>

#include <sys/stat.h>

namespace hvguard::test {

void GatewayTest::start_gateway(const std::vector<std::string>& options,
                                const ProcessSetup& setup) {
  ASSERT_EQ(::chmod(dir.path().c_str(), 0755), 0);
  std::vector<std::string> arguments = {HVGUARD_GATEWAY_PROGRAM,
                                        "--core-socket",
                                        core_path(),
                                        "--listen",
                                        socket_path(),
                                        "--viewer-group",
                                        "54321"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  gateway = std::make_unique<Process>(arguments, "", log_path(), setup);
  ASSERT_TRUE(eventually([&] {
    return gateway_log().find("serves " + socket_path()) != std::string::npos ||
           !gateway->running();
  }));
  ASSERT_TRUE(gateway->running()) << gateway_log();
}

void GatewayTest::start_both(const std::vector<std::string>& options, const ProcessSetup& setup) {
  core = std::make_unique<FakeCore>(core_path());
  tell();
  start_gateway(options, setup);
  const auto stub = client();
  ASSERT_TRUE(eventually([&] {
    grpc::ClientContext context;
    v1::GetStatusResponse response;
    return stub->GetStatus(&context, {}, &response).ok();
  })) << gateway_log();
}

void GatewayTest::tell(int vm_count) {
  core->tell(sample_frame(++tick, wall_time_now(), vm_count));
}

std::shared_ptr<grpc::Channel> GatewayTest::channel() const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  return grpc::CreateCustomChannel(
      "unix:" + socket_path(), grpc::InsecureChannelCredentials(), arguments);
}

std::unique_ptr<v1::AgentService::Stub> GatewayTest::client() const {
  return v1::AgentService::NewStub(channel());
}

void GatewayTest::set_deadline(grpc::ClientContext& context, int milliseconds) {
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(milliseconds));
}

grpc::Status GatewayTest::get_status(v1::GetStatusResponse& response, int milliseconds) const {
  grpc::ClientContext context;
  set_deadline(context, milliseconds);
  return client()->GetStatus(&context, {}, &response);
}

}  // namespace hvguard::test
