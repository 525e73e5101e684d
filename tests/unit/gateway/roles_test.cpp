#include "gateway/roles.h"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include "gateway/log.h"
#include "hvguard/v1/admin_service.pb.h"
#include "hvguard/v1/agent_service.pb.h"

namespace hvguard::gateway {
namespace {

void expect_role(const google::protobuf::FileDescriptor* file, Role role) {
  ASSERT_GT(file->service_count(), 0);
  for (int s = 0; s < file->service_count(); ++s) {
    const auto* service = file->service(s);
    for (int m = 0; m < service->method_count(); ++m) {
      const std::string path = "/" + service->full_name() + "/" + service->method(m)->name();
      ASSERT_TRUE(role_needed(path)) << path << " has no entry in gateway/roles.cpp";
      EXPECT_EQ(role_needed(path), role) << path;
    }
  }
}

TEST(RoleNeeded, EveryRpcThatReadsIsForViewers) {
  expect_role(v1::GetStatusRequest::descriptor()->file(), Role::kViewer);
}

TEST(RoleNeeded, EveryRpcThatChangesSomethingIsForOperators) {
  expect_role(v1::SetLimitRequest::descriptor()->file(), Role::kOperator);
}

TEST(RoleNeeded, DeniesByDefault) {
  EXPECT_FALSE(role_needed(""));
  EXPECT_FALSE(role_needed("/hvguard.v1.AgentService/"));
  EXPECT_FALSE(role_needed("/hvguard.v1.AgentService/GetStatus/"));
  EXPECT_FALSE(role_needed("/hvguard.v1.AdminService/PutInventory"));
  EXPECT_FALSE(role_needed("/grpc.channelz.v1.Channelz/GetServers"));
}

TEST(RoleOf, ComesFromUidAndGroups) {
  const PeerPolicy policy{990, 991};
  EXPECT_EQ(role_of({0, 0, 1, {}}, policy), Role::kOperator);
  EXPECT_EQ(role_of({990, 5, 1, {}}, policy), Role::kViewer);
  EXPECT_EQ(role_of({1000, 991, 1, {}}, policy), Role::kViewer);
  EXPECT_EQ(role_of({1000, 1000, 1, {4, 991}}, policy), Role::kViewer);
  EXPECT_EQ(role_of({1000, 1000, 1, {4, 24}}, policy), std::nullopt);
  // A group that does not exist lets nobody in, gid 0 included.
  EXPECT_EQ(role_of({1000, 0, 1, {0}}, PeerPolicy{990, std::nullopt}), std::nullopt);
}

TEST(RateLimit, AllowsABurstThenOnePerInterval) {
  using std::chrono::seconds;
  RateLimit limit(3, seconds(10));
  BootTime now{seconds(1000)};
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(limit.allow(now));
  }
  EXPECT_FALSE(limit.allow(now));
  EXPECT_FALSE(limit.allow(now));
  EXPECT_EQ(limit.take_suppressed(), 2U);
  now = now + seconds(10);
  EXPECT_TRUE(limit.allow(now));
  EXPECT_FALSE(limit.allow(now));
}

}  // namespace
}  // namespace hvguard::gateway
