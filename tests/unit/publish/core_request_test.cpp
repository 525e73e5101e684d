#include "publish/core_request.h"

#include <string>

#include <gtest/gtest.h>

#include "hvguard/v1/core_link.pb.h"

namespace hvguard::publish {
namespace {

std::string subscribe(std::uint32_t version) {
  v1::CoreRequest request;
  request.set_protocol_version(version);
  request.mutable_subscribe_frames();
  return request.SerializeAsString();
}

TEST(CoreRequest, TakesBothKinds) {
  EXPECT_EQ(parse_core_request(subscribe(1), false).value().kind,
            CoreRequestKind::kSubscribeFrames);
  v1::CoreRequest request;
  request.set_protocol_version(1);
  request.mutable_get_frame();
  EXPECT_EQ(parse_core_request(request.SerializeAsString(), false).value().kind,
            CoreRequestKind::kGetFrame);
}

TEST(CoreRequest, RefusesAllElseWithAReason) {
  EXPECT_EQ(
      parse_core_request(subscribe(2), false).error().message,
      "protocol version 2 is not spoken here, only 1; gateway, ctl and hvguardd must be of the "
      "same package");
  EXPECT_EQ(parse_core_request("\xff\xff\xff\xff", false).error().message,
            "not a hvguard.v1.CoreRequest");
  EXPECT_EQ(parse_core_request("", false).error().code, Errc::kInvalid);
  v1::CoreRequest nothing;
  nothing.set_protocol_version(1);
  EXPECT_EQ(parse_core_request(nothing.SerializeAsString(), false).error().message,
            "the request asks for nothing that is known here");
  std::string padded = subscribe(1);
  padded += std::string("\x7a\xff\x04", 3) + std::string(639, 'x');  // field 15, unknown, long
  EXPECT_EQ(parse_core_request(padded, false).error().message, "a request has at most 512 bytes");
}

// A request cut anywhere must be refused or be another valid one; never crash.
TEST(CoreRequest, CutAtEveryByte) {
  const std::string whole = subscribe(1);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    EXPECT_FALSE(parse_core_request(whole.substr(0, i), false)) << i;
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
  const auto request = parse_core_request(attach(), true).value();
  EXPECT_EQ(request.kind, CoreRequestKind::kAttachSpool);
  ASSERT_TRUE(request.report);
  EXPECT_EQ(request.report->previous_boot.state, BootState::kNoRecord);
  EXPECT_EQ(parse_core_request(attach(), false).error().message, "a request has at most 512 bytes");
  v1::CoreRequest small;
  small.set_protocol_version(1);
  small.mutable_attach_spool()->mutable_previous_boot()->set_state(v1::BootRecord::STATE_NO_RECORD);
  EXPECT_TRUE(parse_core_request(small.SerializeAsString(), true));
  const auto refused = parse_core_request(small.SerializeAsString(), false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kDenied);
  EXPECT_EQ(parse_core_request(std::string(32 * 1024 + 1, '\0'), true).error().message,
            "a request has at most 32768 bytes");
}

}  // namespace
}  // namespace hvguard::publish
