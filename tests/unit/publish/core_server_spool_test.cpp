// Who may attach as the spool, and what comes of it.
#include "core_server_fixture.h"

namespace hvguard::publish {
namespace {

std::string attach_request() {
  v1::CoreRequest out;
  out.set_protocol_version(1);
  auto& previous = *out.mutable_attach_spool()->mutable_previous_boot();
  previous.set_state(v1::BootRecord::STATE_RUNNING);
  previous.set_boot_id("6c1b3f0e-0000-4000-8000-000000000001");
  return out.SerializeAsString();
}

TEST_F(CoreServerTest, TheSpoolTellsAndThenGetsEveryFrame) {
  listen();
  std::vector<BootState> told;
  server_->on_spool_report(
      [&](const SpoolReport& report) { told.push_back(report.previous_boot.state); });
  ClientSocket spool(path());
  ASSERT_TRUE(spool.send(attach_request()));
  ASSERT_TRUE(until([&] { return !told.empty(); }));
  EXPECT_EQ(told, std::vector{BootState::kRunning});
  for (std::uint64_t number = 1; number <= 3; ++number) {
    server_->publish(frame_of(number));
    EXPECT_EQ(receive_frame(spool).front().frame_part().tick(), number);
  }
}

TEST_F(CoreServerTest, AReportThatIsWrongIsRefusedAndNotTold) {
  listen();
  server_->on_spool_report([](const SpoolReport&) { ADD_FAILURE() << "told of a wrong one"; });
  v1::CoreRequest wrong;
  wrong.set_protocol_version(1);
  wrong.mutable_attach_spool();
  ClientSocket spool(path());
  ASSERT_TRUE(spool.send(wrong.SerializeAsString()));
  EXPECT_EQ(receive_error(spool),
            "the record of the boot before: it has no state that is known here");
  EXPECT_EQ(server_->refused_request_count(), 1U);
}

TEST_F(CoreServerTest, TheGatewayIsNotTheSpool) {
  ASSERT_EQ(::getuid(), 0U) << "this test needs root, to become another user";
  listen({.gateway_uid = kNobody, .spool_uid = 12345});
  server_->on_spool_report([](const SpoolReport&) { ADD_FAILURE() << "told by the gateway"; });
  const OtherUser gateway(folder_, kNobody, 1, attach_request());
  std::string packet;
  ASSERT_TRUE(until([&] {
    packet = gateway.output().value_or("");
    return !packet.empty();
  }));
  v1::CorePacket out;
  ASSERT_TRUE(out.ParseFromString(packet));
  EXPECT_EQ(out.error().message(), "only hvguard-spool's user and root may attach as the spool");
}

TEST_F(CoreServerTest, TheSpoolsUserMayAttachButNotTakeAllPlaces) {
  ASSERT_EQ(::getuid(), 0U) << "this test needs root, to become another user";
  listen({.gateway_uid = 12345, .spool_uid = kNobody});
  bool told = false;
  server_->on_spool_report([&](const SpoolReport&) { told = true; });
  {
    const OtherUser spool(folder_, kNobody, 1, attach_request());
    ASSERT_TRUE(until([&] { return told; }));
    server_->publish(frame_of(1));
    ASSERT_TRUE(until([&] { return !spool.output().value_or("").empty(); }));
  }
  ASSERT_TRUE(until([&] { return server_->client_count() == 0; }));
  const OtherUser many(folder_, kNobody, kMaxSpoolClients + 1);
  std::string packet;
  ASSERT_TRUE(until([&] {
    packet = many.output().value_or("");
    return !packet.empty();
  }));
  v1::CorePacket out;
  ASSERT_TRUE(out.ParseFromString(packet));
  EXPECT_EQ(out.error().message(), "the spool has 2 connections already");
}

}  // namespace
}  // namespace hvguard::publish
