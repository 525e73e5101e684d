#include "publish/admin_request.h"

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "publish/admin_reply.h"
#include "publish/frame.h"

namespace hvguard::publish {
namespace {

const VmId kVm{4711, {Nanoseconds(1)}, {23}};

v1::AdminCall set_limit() {
  v1::AdminCall call;
  auto& request = *call.mutable_set_limit();
  request.set_request_id("r-1");
  request.set_reason("noisy");
  request.set_vm_id(to_string(kVm));
  request.set_kind(v1::Limit::KIND_READ_BYTES);
  request.mutable_device()->set_major(8);
  request.set_value(40 << 20);
  request.mutable_lease_duration()->set_seconds(600);
  return call;
}

v1::AdminCall release_limit() {
  v1::AdminCall call;
  auto& request = *call.mutable_release_limit();
  request.set_request_id("r-2");
  request.set_reason("over");
  request.set_vm_id(to_string(kVm));
  return call;
}

TEST(AdminRequest, SetLimitIsTakenWhole) {
  v1::AdminCall call = set_limit();
  call.mutable_set_limit()->set_validate_only(true);
  const auto request = admin_request_from_proto(call, "uid 0, pid 7");
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->request_id, "r-1");
  EXPECT_EQ(request->who, "uid 0, pid 7");
  EXPECT_EQ(request->reason, "noisy");
  EXPECT_EQ(request->origin, LimitOrigin::kOperator);
  EXPECT_TRUE(request->validate_only);
  const auto& action = std::get<SetLimitAction>(request->action);
  EXPECT_EQ(action.key, (LimitKey{kVm, LimitKind::kReadBytes, {8, 0}}));
  EXPECT_EQ(action.value, std::uint64_t{40} << 20);
  EXPECT_EQ(action.lease, std::chrono::minutes(10));
}

TEST(AdminRequest, TheOthersAreTakenToo) {
  const auto all = admin_request_from_proto(release_limit(), "");
  EXPECT_EQ(std::get<ReleaseLimitAction>(all->action).key, std::nullopt);
  v1::AdminCall one = release_limit();
  one.mutable_release_limit()->set_kind(v1::Limit::KIND_PIDS_MAX);
  const auto parsed = admin_request_from_proto(one, "");
  EXPECT_EQ(std::get<ReleaseLimitAction>(parsed->action).key->kind, LimitKind::kPidsMax);

  const auto common = [](auto& request) {
    request.set_request_id("r");
    request.set_reason("r");
  };
  v1::AdminCall mode;
  common(*mode.mutable_set_mode());
  mode.mutable_set_mode()->set_mode(v1::AgentStatus::MODE_DRY_RUN);
  EXPECT_EQ(std::get<SetModeAction>(admin_request_from_proto(mode, "")->action).mode,
            LimitMode::kDryRun);
  mode.mutable_set_mode()->clear_mode();
  mode.mutable_set_mode()->set_as_configured(true);
  EXPECT_EQ(std::get<SetModeAction>(admin_request_from_proto(mode, "")->action).mode, std::nullopt);
  v1::AdminCall cordon;
  common(*cordon.mutable_set_cordon());
  cordon.mutable_set_cordon()->set_cordoned(true);
  EXPECT_TRUE(std::get<SetCordonAction>(admin_request_from_proto(cordon, "")->action).cordoned);
  v1::AdminCall ack;
  common(*ack.mutable_acknowledge_incident());
  ack.mutable_acknowledge_incident()->set_incident_id("1f-2-abc");
  EXPECT_EQ(
      std::get<AcknowledgeIncidentAction>(admin_request_from_proto(ack, "")->action).incident_id,
      "1f-2-abc");
  v1::AdminCall reload;
  common(*reload.mutable_reload_config());
  EXPECT_TRUE(
      std::holds_alternative<ReloadConfigAction>(admin_request_from_proto(reload, "")->action));
}

TEST(AdminRequest, WhoSaysBothWhenTheGatewayAsks) {
  v1::AdminCall call = set_limit();
  call.mutable_caller()->set_uid(0);
  EXPECT_EQ(admin_request_from_proto(call, "uid 998, pid 8")->who,
            "uid 0, pid not known, by uid 998, pid 8");
  call.mutable_caller()->add_pids(17);
  call.mutable_caller()->add_pids(18);
  EXPECT_EQ(admin_request_from_proto(call, "uid 998, pid 8")->who,
            "uid 0, pid 17 or 18, by uid 998, pid 8");
  for (int i = 0; i < kMaxCallerPids; ++i) {
    call.mutable_caller()->add_pids(1);
  }
  EXPECT_FALSE(admin_request_from_proto(call, ""));
}

struct Wrong {
  std::function<void(v1::SetLimitRequest&)> spoil;
  std::string naming;
};

TEST(AdminRequest, EachWrongFieldIsRefusedByName) {
  const std::vector<Wrong> cases = {
      {[](auto& r) { r.clear_request_id(); }, "request_id"},
      {[](auto& r) { r.set_request_id(std::string(65, 'a')); }, "request_id"},
      {[](auto& r) { r.set_request_id("a b"); }, "request_id"},
      {[](auto& r) { r.clear_reason(); }, "reason"},
      {[](auto& r) { r.set_reason(std::string(257, 'a')); }, "reason"},
      {[](auto& r) { r.set_vm_id("web01\n"); }, "vm_id 'web01\\x0a'"},
      {[](auto& r) { r.clear_vm_id(); }, "vm_id"},
      {[](auto& r) { r.clear_kind(); }, "kind is 0"},
      {[](auto& r) { r.set_kind(static_cast<v1::Limit::Kind>(77)); }, "kind is 77"},
      {[](auto& r) { r.clear_device(); }, "io.max rbps is per device"},
      {[](auto& r) { r.set_kind(v1::Limit::KIND_MEMORY_HIGH); }, "memory.high is not per device"},
      {[](auto& r) { r.clear_value(); }, "value is missing"},
      {[](auto& r) { r.set_value(0); }, "would stop the VM"},
      {[](auto& r) { r.set_value(std::numeric_limits<std::uint64_t>::max()); }, "release it"},
      {[](auto& r) { r.clear_lease_duration(); }, "lease_duration"},
      {[](auto& r) { r.mutable_lease_duration()->set_seconds(-1); }, "lease_duration"},
      {[](auto& r) { r.mutable_lease_duration()->set_nanos(-1); }, "lease_duration"},
      {[](auto& r) {
         r.mutable_lease_duration()->set_seconds(std::numeric_limits<std::int64_t>::max());
       },
       "lease_duration"},
  };
  for (const Wrong& wrong : cases) {
    v1::AdminCall call = set_limit();
    wrong.spoil(*call.mutable_set_limit());
    const auto request = admin_request_from_proto(call, "");
    ASSERT_FALSE(request) << wrong.naming;
    EXPECT_EQ(request.error().code, Errc::kInvalid);
    EXPECT_NE(request.error().message.find(wrong.naming), std::string::npos)
        << request.error().message;
  }
}

TEST(AdminRequest, WeightsHaveTheKernelsRangeAndZeroSwapIsAValue) {
  v1::AdminCall call = set_limit();
  call.mutable_set_limit()->clear_device();
  call.mutable_set_limit()->set_kind(v1::Limit::KIND_IO_WEIGHT);
  call.mutable_set_limit()->set_value(10'001);
  EXPECT_FALSE(admin_request_from_proto(call, ""));
  call.mutable_set_limit()->set_value(10'000);
  EXPECT_TRUE(admin_request_from_proto(call, ""));
  call.mutable_set_limit()->set_kind(v1::Limit::KIND_SWAP_MAX);
  call.mutable_set_limit()->set_value(0);
  EXPECT_TRUE(admin_request_from_proto(call, ""));
}

TEST(AdminRequest, AmbiguousOnesAreRefused) {
  v1::AdminCall mode;
  mode.mutable_set_mode()->set_request_id("r");
  mode.mutable_set_mode()->set_reason("r");
  EXPECT_FALSE(admin_request_from_proto(mode, ""));  // neither
  mode.mutable_set_mode()->set_mode(v1::AgentStatus::MODE_ENFORCE);
  mode.mutable_set_mode()->set_as_configured(true);
  EXPECT_FALSE(admin_request_from_proto(mode, ""));  // both
  v1::AdminCall cordon;
  cordon.mutable_set_cordon()->set_request_id("r");
  cordon.mutable_set_cordon()->set_reason("r");
  EXPECT_FALSE(admin_request_from_proto(cordon, ""));
  v1::AdminCall release = release_limit();
  release.mutable_release_limit()->mutable_device()->set_major(8);
  EXPECT_FALSE(admin_request_from_proto(release, ""));
  EXPECT_EQ(admin_request_from_proto(v1::AdminCall(), "").error().code, Errc::kUnsupported);
}

TEST(AdminRequest, ReasonsAreSafeToShow) {
  v1::AdminCall call = set_limit();
  call.mutable_set_limit()->set_reason("a\x1b[31m\nPRIORITY=0");
  EXPECT_EQ(admin_request_from_proto(call, "")->reason, "a\\x1b[31m\\x0aPRIORITY=0");
}

Limit limit_on_tasks(std::string reason) {
  Limit limit;
  limit.key = {.vm = kVm, .kind = LimitKind::kPidsMax, .device = {}};
  limit.reason = std::move(reason);
  return limit;
}

TEST(AdminReply, HasTheResponseOfItsMethod) {
  const auto request = admin_request_from_proto(release_limit(), "").value();
  AdminAnswer answer;
  answer.limits.resize(kMaxAnsweredLimits + 6, limit_on_tasks(""));
  answer.note = "n";
  const v1::AdminReply reply = admin_reply(request, answer, 0, {}, {});
  ASSERT_TRUE(reply.has_release_limit());
  EXPECT_EQ(reply.release_limit().limits_size(), static_cast<int>(kMaxAnsweredLimits));
  EXPECT_EQ(reply.release_limit().limit_count(), kMaxAnsweredLimits + 6);
  EXPECT_EQ(reply.release_limit().note(), "n");
}

TEST(AdminReply, FitsAPacketWhateverTheAnswer) {
  const auto request = admin_request_from_proto(release_limit(), "").value();
  AdminAnswer answer;
  answer.limits.resize(200, limit_on_tasks(std::string(100'000, 'x')));
  answer.note = std::string(100'000, 'n');
  EXPECT_LE(encode_admin_reply(admin_reply(request, answer, 0, {}, {})).size(), kMaxPacketBytes);
}

TEST(AdminReply, AnErrorKeepsItsKindAndWords) {
  const auto request = admin_request_from_proto(release_limit(), "").value();
  const v1::AdminReply reply = admin_reply(request, fail(Errc::kNotFound, "no such VM"), 0, {}, {});
  EXPECT_EQ(reply.error().code(), to_string(Errc::kNotFound));
  EXPECT_EQ(reply.error().message(), "no such VM");
}

}  // namespace
}  // namespace hvguard::publish
