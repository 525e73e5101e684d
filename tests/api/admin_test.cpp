// AdminService over the socket: what reaches hvguardd, and what its answers become.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "gateway_process.h"
#include "hvguard/v1/admin_service.grpc.pb.h"

namespace hvguard::test {
namespace {

class AdminTest : public GatewayTest {
 protected:
  // What hvguardd was asked last; it answers with an empty response of the same method.
  void answer_all() {
    core->on_admin([this](const v1::AdminCall& call) {
      {
        const std::lock_guard lock(mutex);
        last = call;
      }
      v1::AdminReply reply;
      switch (call.kind_case()) {
        case v1::AdminCall::kSetLimit:
          reply.mutable_set_limit()->mutable_limit()->set_vm_id(call.set_limit().vm_id());
          break;
        case v1::AdminCall::kReleaseLimit:
          reply.mutable_release_limit()->set_limit_count(2);
          break;
        case v1::AdminCall::kSetMode:
          reply.mutable_set_mode()->set_mode(call.set_mode().mode());
          break;
        case v1::AdminCall::kSetCordon:
          reply.mutable_set_cordon()->set_cordoned(true);
          break;
        case v1::AdminCall::kAcknowledgeIncident:
          reply.mutable_acknowledge_incident()->set_note("known");
          break;
        default:
          reply.mutable_reload_config()->set_reload_count(4);
      }
      return std::optional(reply);
    });
  }
  void answer_error(const std::string& code) {
    core->on_admin([code](const v1::AdminCall&) {
      v1::AdminReply reply;
      reply.mutable_error()->set_code(code);
      reply.mutable_error()->set_message("the reason and the remedy");
      return std::optional(reply);
    });
  }
  grpc::Status cordon() {
    grpc::ClientContext context;
    set_deadline(context);
    v1::SetCordonResponse response;
    return v1::AdminService::NewStub(channel())->SetCordon(&context, {}, &response);
  }

  std::mutex mutex;
  v1::AdminCall last;
};

TEST_F(AdminTest, EveryRpcReachesTheGuardWithWhoAsked) {
  ASSERT_EQ(::getuid(), 0U) << "this test needs root: only root is an operator";
  start_both();
  answer_all();
  const auto stub = v1::AdminService::NewStub(channel());
  const auto call = [&](auto method, const auto& request, auto& response) {
    grpc::ClientContext context;
    set_deadline(context);
    const grpc::Status status = (stub.get()->*method)(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    const std::lock_guard lock(mutex);
    EXPECT_EQ(last.caller().uid(), 0U);
    EXPECT_EQ(last.caller().pids_size(), 1);
    EXPECT_EQ(last.caller().pids(0), static_cast<std::uint32_t>(::getpid()));
    return last;
  };
  using Stub = v1::AdminService::Stub;
  v1::SetLimitRequest limit;
  limit.set_vm_id("v1");
  limit.set_value(5);
  v1::SetLimitResponse limited;
  EXPECT_EQ(call(&Stub::SetLimit, limit, limited).set_limit().value(), 5U);
  EXPECT_EQ(limited.limit().vm_id(), "v1");
  v1::ReleaseLimitResponse released;
  EXPECT_TRUE(call(&Stub::ReleaseLimit, v1::ReleaseLimitRequest(), released).has_release_limit());
  EXPECT_EQ(released.limit_count(), 2U);
  v1::SetModeRequest mode;
  mode.set_mode(v1::AgentStatus::MODE_ENFORCE);
  v1::SetModeResponse mode_now;
  EXPECT_TRUE(call(&Stub::SetMode, mode, mode_now).has_set_mode());
  EXPECT_EQ(mode_now.mode(), v1::AgentStatus::MODE_ENFORCE);
  v1::SetCordonResponse cordoned;
  EXPECT_TRUE(call(&Stub::SetCordon, v1::SetCordonRequest(), cordoned).has_set_cordon());
  EXPECT_TRUE(cordoned.cordoned());
  v1::AcknowledgeIncidentResponse known;
  EXPECT_TRUE(call(&Stub::AcknowledgeIncident, v1::AcknowledgeIncidentRequest(), known)
                  .has_acknowledge_incident());
  EXPECT_EQ(known.note(), "known");
  v1::ReloadConfigResponse reload;
  EXPECT_TRUE(call(&Stub::ReloadConfig, v1::ReloadConfigRequest(), reload).has_reload_config());
  EXPECT_EQ(reload.reload_count(), 4U);
}

TEST_F(AdminTest, TheGuardsErrorsBecomeStatusCodes) {
  ASSERT_EQ(::getuid(), 0U) << "this test needs root: only root is an operator";
  start_both();
  const std::vector<std::pair<std::string, grpc::StatusCode>> codes = {
      {"not found", grpc::StatusCode::NOT_FOUND},
      {"denied", grpc::StatusCode::PERMISSION_DENIED},
      {"invalid", grpc::StatusCode::INVALID_ARGUMENT},
      {"exhausted", grpc::StatusCode::RESOURCE_EXHAUSTED},
      {"unavailable", grpc::StatusCode::UNAVAILABLE},
      {"unsupported", grpc::StatusCode::UNIMPLEMENTED},
      {"no such word", grpc::StatusCode::INTERNAL}};
  for (const auto& [code, wanted] : codes) {
    answer_error(code);
    const grpc::Status status = cordon();
    EXPECT_EQ(status.error_code(), wanted) << code;
    EXPECT_EQ(status.error_message(), "the reason and the remedy");
  }
}

TEST_F(AdminTest, ASilentGuardIsADeadlineWithTheRemedyAndReadsGoOn) {
  ASSERT_EQ(::getuid(), 0U) << "this test needs root: only root is an operator";
  start_both();  // and no answer
  const grpc::Status status = cordon();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_NE(status.error_message().find("same request_id"), std::string::npos)
      << status.error_message();
  v1::GetStatusResponse response;
  EXPECT_TRUE(get_status(response).ok());
}

TEST_F(AdminTest, NoGuardIsUnavailableWithTheRemedy) {
  ASSERT_EQ(::getuid(), 0U) << "this test needs root: only root is an operator";
  start_gateway();
  const grpc::Status status = cordon();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_NE(status.error_message().find("systemctl status hvguardd"), std::string::npos)
      << status.error_message();
}

TEST_F(AdminTest, AnAnswerToAnotherQuestionIsAnError) {
  ASSERT_EQ(::getuid(), 0U) << "this test needs root: only root is an operator";
  start_both();
  core->on_admin([](const v1::AdminCall&) {
    v1::AdminReply reply;
    reply.mutable_set_mode();
    return std::optional(reply);
  });
  EXPECT_EQ(cordon().error_code(), grpc::StatusCode::INTERNAL);
}

TEST_F(AdminTest, ALargeRequestIsRefusedBeforeTheGuardSeesIt) {
  ASSERT_EQ(::getuid(), 0U) << "this test needs root: only root is an operator";
  start_both();
  answer_all();
  grpc::ClientContext context;
  set_deadline(context);
  v1::SetCordonRequest request;
  request.set_reason(std::string(20'000, 'x'));
  v1::SetCordonResponse response;
  EXPECT_EQ(
      v1::AdminService::NewStub(channel())->SetCordon(&context, request, &response).error_code(),
      grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_FALSE(last.has_set_cordon());
}

}  // namespace
}  // namespace hvguard::test
