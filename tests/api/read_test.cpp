// Every read RPC over the socket, and the health service.
#include <gtest/gtest.h>

#include "gateway_process.h"

namespace hvguard::test {
namespace {

class ReadTest : public GatewayTest {};

TEST_F(ReadTest, AnswersEveryRpc) {
  start_both();
  const auto stub = client();
  {
    grpc::ClientContext context;
    v1::GetStatusResponse response;
    ASSERT_TRUE(stub->GetStatus(&context, {}, &response).ok());
    EXPECT_EQ(response.status().host().hostname(), "hv07");
    EXPECT_EQ(response.status().counts().vm_count(), 3U);
  }
  {
    grpc::ClientContext context;
    v1::ListVmsResponse response;
    ASSERT_TRUE(stub->ListVms(&context, {}, &response).ok());
    EXPECT_EQ(response.vms_size(), 3);
    EXPECT_TRUE(response.has_observe_time());
  }
  {
    grpc::ClientContext context;
    v1::GetVmRequest request;
    request.set_vm("vm02");
    v1::GetVmResponse response;
    ASSERT_TRUE(stub->GetVm(&context, request, &response).ok());
    EXPECT_EQ(response.vm().device_ios_size(), 2);
  }
  {
    grpc::ClientContext context;
    v1::ListBlockedTasksResponse response;
    ASSERT_TRUE(stub->ListBlockedTasks(&context, {}, &response).ok());
    EXPECT_EQ(response.blocked_tasks_size(), 2);
  }
  {
    grpc::ClientContext context;
    v1::ListIncidentsResponse response;
    ASSERT_TRUE(stub->ListIncidents(&context, {}, &response).ok());
    EXPECT_EQ(response.incidents_size(), static_cast<int>(kSampleIncidents));
  }
  {
    grpc::ClientContext context;
    v1::GetIncidentRequest request;
    request.set_incident_id("1a2b0002");
    v1::GetIncidentResponse response;
    ASSERT_TRUE(stub->GetIncident(&context, request, &response).ok());
    EXPECT_TRUE(response.incident().evidence().has_panic_forecast());
  }
}

TEST_F(ReadTest, PagesThroughManyVms) {
  start_both();
  tell(2048);
  const auto stub = client();
  v1::ListVmsRequest request;
  request.set_page_size(1000);
  ASSERT_TRUE(eventually([&] {
    grpc::ClientContext context;
    v1::ListVmsResponse response;
    return stub->ListVms(&context, request, &response).ok() && response.vms_size() == 1000;
  }));
  int count = 0;
  do {
    grpc::ClientContext context;
    v1::ListVmsResponse response;
    const auto status = stub->ListVms(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    count += response.vms_size();
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(count, 2048);
}

TEST_F(ReadTest, ErrorsHaveTheirCodeAndName) {
  start_both();
  const auto stub = client();
  {
    grpc::ClientContext context;
    v1::GetVmRequest request;
    request.set_vm("nosuch");
    v1::GetVmResponse response;
    const auto status = stub->GetVm(&context, request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
    EXPECT_NE(status.error_message().find("nosuch"), std::string::npos);
  }
  {
    grpc::ClientContext context;
    v1::ListVmsRequest request;
    request.set_page_size(-5);
    v1::ListVmsResponse response;
    EXPECT_EQ(stub->ListVms(&context, request, &response).error_code(),
              grpc::StatusCode::INVALID_ARGUMENT);
  }
  {
    grpc::ClientContext context;
    v1::GetVmRequest request;
    request.set_vm(std::string(100'000, 'x'));
    v1::GetVmResponse response;
    EXPECT_EQ(stub->GetVm(&context, request, &response).error_code(),
              grpc::StatusCode::RESOURCE_EXHAUSTED);
  }
}

TEST_F(ReadTest, WithoutDataSaysWhatIsMissing) {
  start_gateway();
  v1::GetStatusResponse response;
  ASSERT_TRUE(eventually([&] {
    return get_status(response).error_message().find("is hvguardd running?") != std::string::npos;
  }));
  EXPECT_EQ(get_status(response).error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace hvguard::test
