#include "publish/core_request.h"

#include <string>

#include <gtest/gtest.h>

#include "hvguard/v1/core_link.pb.h"

namespace hvguard::publish {
namespace {

const CoreSender kReader;
const CoreSender kSpool{.may_attach = true};
const CoreSender kRoot{.may_attach = true, .may_change = true, .name = "uid 0, pid 7"};

std::string subscribe(std::uint32_t version) {
  v1::CoreRequest request;
  request.set_protocol_version(version);
  request.mutable_subscribe_frames();
  return request.SerializeAsString();
}

TEST(CoreRequest, TakesBothKinds) {
  EXPECT_EQ(parse_core_request(subscribe(1), kReader).value().kind,
            CoreRequestKind::kSubscribeFrames);
  v1::CoreRequest request;
  request.set_protocol_version(1);
  request.mutable_get_frame();
  EXPECT_EQ(parse_core_request(request.SerializeAsString(), kReader).value().kind,
            CoreRequestKind::kGetFrame);
}

TEST(CoreRequest, RefusesAllElseWithAReason) {
  EXPECT_EQ(
      parse_core_request(subscribe(2), kReader).error().message,
      "protocol version 2 is not spoken here, only 1; gateway, ctl and hvguardd must be of the "
      "same package");
  EXPECT_EQ(parse_core_request("\xff\xff\xff\xff", kReader).error().message,
            "not a hvguard.v1.CoreRequest");
  EXPECT_EQ(parse_core_request("", kReader).error().code, Errc::kInvalid);
  v1::CoreRequest nothing;
  nothing.set_protocol_version(1);
  EXPECT_EQ(parse_core_request(nothing.SerializeAsString(), kReader).error().message,
            "the request asks for nothing that is known here");
  std::string padded = subscribe(1);
  padded += std::string("\x7a\xff\x04", 3) + std::string(639, 'x');  // field 15, unknown, long
  EXPECT_EQ(parse_core_request(padded, kReader).error().message, "a request has at most 512 bytes");
}

// A request cut anywhere must be refused or be another valid one; never crash.
TEST(CoreRequest, CutAtEveryByte) {
  const std::string whole = subscribe(1);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    EXPECT_FALSE(parse_core_request(whole.substr(0, i), kReader)) << i;
  }
}

std::string attach() {
  v1::CoreRequest request;
  request.set_protocol_version(1);
  auto& report = *request.mutable_attach_spool();
  report.mutable_previous_boot()->set_state(v1::BootRecord::STATE_NO_RECORD);
  report.set_record_error(std::string(400, 'e'));
  report.mutable_previous_boot()->set_detail(std::string(400, 'd'));
  return request.SerializeAsString();
}

TEST(CoreRequest, OnlyTheSpoolAttachesAndOnlyItMaySayMuch) {
  const auto request = parse_core_request(attach(), kSpool).value();
  EXPECT_EQ(request.kind, CoreRequestKind::kAttachSpool);
  ASSERT_TRUE(request.report);
  EXPECT_EQ(request.report->previous_boot.state, BootState::kNoRecord);
  EXPECT_EQ(parse_core_request(attach(), kReader).error().message,
            "a request has at most 512 bytes");
  v1::CoreRequest small;
  small.set_protocol_version(1);
  small.mutable_attach_spool()->mutable_previous_boot()->set_state(v1::BootRecord::STATE_NO_RECORD);
  EXPECT_TRUE(parse_core_request(small.SerializeAsString(), kSpool));
  const auto refused = parse_core_request(small.SerializeAsString(), kReader);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kDenied);
  EXPECT_EQ(parse_core_request(std::string(32 * 1024 + 1, '\0'), kSpool).error().message,
            "a request has at most 32768 bytes");
}

std::string reload(std::size_t padding = 0) {
  v1::CoreRequest request;
  request.set_protocol_version(1);
  auto& reload = *request.mutable_admin()->mutable_reload_config();
  reload.set_request_id("r1");
  reload.set_reason("r" + std::string(padding, 'x'));
  return request.SerializeAsString();
}

TEST(CoreRequest, OnlyTheGatewayAndRootMayChangeSomething) {
  const auto request = parse_core_request(reload(), kRoot).value();
  EXPECT_EQ(request.kind, CoreRequestKind::kAdmin);
  ASSERT_TRUE(request.admin && *request.admin);
  EXPECT_EQ((*request.admin)->who, "uid 0, pid 7");
  EXPECT_EQ(parse_core_request(reload(), kReader).error().code, Errc::kDenied);
  EXPECT_EQ(parse_core_request(reload(), kSpool).error().code, Errc::kDenied);
}

TEST(CoreRequest, WhatChangesSomethingIsShort) {
  EXPECT_EQ(parse_core_request(reload(5000), kRoot).error().message,
            "such a request has at most 4096 bytes");
  // Not too long, but wrong: the one who asks is told what, in an AdminReply.
  const auto wrong = parse_core_request(reload(1000), kRoot).value();
  ASSERT_TRUE(wrong.admin && !*wrong.admin);
  EXPECT_EQ(wrong.admin->error().code, Errc::kInvalid);
}

}  // namespace
}  // namespace hvguard::publish
