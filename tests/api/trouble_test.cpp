// The guard stale or gone, the gateway restarted; what the gateway costs.
#include <csignal>

#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include "gateway_process.h"

namespace hvguard::test {
namespace {

class TroubleTest : public GatewayTest {
 protected:
  // Health by the bytes of grpc.health.v1: field 1, 1 is SERVING, 2 is NOT_SERVING.
  int health(grpc::GenericStub& stub) const {
    grpc::ClientContext context;
    set_deadline(context);
    grpc::CompletionQueue queue;
    const grpc::Slice nothing("");
    const auto call = stub.PrepareUnaryCall(
        &context, "/grpc.health.v1.Health/Check", grpc::ByteBuffer(&nothing, 1), &queue);
    grpc::ByteBuffer response;
    grpc::Status status;
    void* tag = nullptr;
    bool ok = false;
    call->StartCall();
    call->Finish(&response, &status, &queue);
    queue.Next(&tag, &ok);
    grpc::Slice slice;
    if (!status.ok() || !response.DumpToSingleSlice(&slice).ok() || slice.size() != 2) {
      return -1;
    }
    return slice.begin()[1];
  }
};

TEST_F(TroubleTest, StaleDataStillAnswerAndHealthSaysSo) {
  start_both();
  grpc::GenericStub stub(channel());
  EXPECT_TRUE(eventually([&] { return health(stub) == 1; }));
  const BootTime begun = boot_time_now();
  EXPECT_TRUE(eventually([&] { return health(stub) == 2; }));
  EXPECT_GE(boot_time_now() - begun, std::chrono::seconds(2));
  v1::GetStatusResponse response;
  const auto status = get_status(response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(response.status().has_observe_time());
  tell();
  EXPECT_TRUE(eventually([&] { return health(stub) == 1; }));
}

TEST_F(TroubleTest, TheGuardDiesAndReturns) {
  start_both();
  core.reset();
  v1::GetStatusResponse response;
  ASSERT_TRUE(get_status(response).ok());
  core = std::make_unique<FakeCore>(core_path());
  tell();
  EXPECT_TRUE(eventually(
      [&] { return get_status(response).ok() && response.status().agent().tick_count() == tick; }));
}

TEST_F(TroubleTest, AKilledGatewayCanBeStartedAgain) {
  start_both();
  const auto shared = channel();
  const auto stub = v1::AgentService::NewStub(shared);
  gateway->signal(SIGKILL);
  ASSERT_TRUE(gateway->wait(std::chrono::seconds(5)));
  start_gateway();
  EXPECT_TRUE(eventually([&] {
    grpc::ClientContext context;
    set_deadline(context, 1000);
    v1::GetStatusResponse response;
    return stub->GetStatus(&context, {}, &response).ok();
  }));
}

TEST_F(TroubleTest, AStuckWatcherDoesNotDelayTheStop) {
  start_both();
  const auto stub = client();
  grpc::ClientContext context;
  set_deadline(context, 30'000);
  const auto stream = stub->WatchIncidents(&context, {});  // never read
  for (int i = 0; i < 300; ++i) {
    auto frame = sample_frame(++tick, wall_time_now());
    for (auto& incident : frame.incidents) {
      incident.set_summary(std::string(10'000, 'x'));
      incident.set_revision(tick);
    }
    core->tell(frame);
  }
  const BootTime begun = boot_time_now();
  gateway->signal(SIGTERM);
  EXPECT_EQ(gateway->wait(std::chrono::seconds(10)), 0);
  EXPECT_LT(boot_time_now() - begun, std::chrono::seconds(2));
  context.TryCancel();
}

TEST_F(TroubleTest, CostsLittle) {
  start_both();
  tell(200);
  v1::GetStatusResponse response;
  ASSERT_TRUE(eventually(
      [&] { return get_status(response).ok() && response.status().counts().vm_count() == 200; }));
  RecordProperty("resident_bytes", std::to_string(gateway->resident_bytes()));
  RecordProperty("threads", std::to_string(gateway->thread_count()));
  printf("resident %.1f MiB, %lu threads\n",
         static_cast<double>(gateway->resident_bytes()) / (1 << 20),
         gateway->thread_count());
#if !defined(__SANITIZE_ADDRESS__)
  EXPECT_LT(gateway->resident_bytes(), 32U << 20);
#endif
  EXPECT_LT(gateway->thread_count(), 64U);
}

TEST_F(TroubleTest, WrongOptionsEndWithUsage) {
  for (const auto& options : std::vector<std::vector<std::string>>{
           {"--max-watchers", "0"}, {"--nosuch"}, {"--max-connections", "x"}}) {
    std::vector<std::string> arguments = {HVGUARD_GATEWAY_PROGRAM};
    arguments.insert(arguments.end(), options.begin(), options.end());
    Process process(arguments, "", "");
    EXPECT_EQ(process.wait(std::chrono::seconds(5)), 2) << options[0];
  }
}

TEST_F(TroubleTest, ASocketPathThatCannotBeServedIsNamed) {
  Process process({HVGUARD_GATEWAY_PROGRAM, "--listen", dir.file("a/b/c.sock")}, "", log_path());
  EXPECT_EQ(process.wait(std::chrono::seconds(5)), 1);
  EXPECT_NE(gateway_log().find(dir.file("a/b")), std::string::npos) << gateway_log();
}

}  // namespace
}  // namespace hvguard::test
