// Who may ask for changes on core.sock, and what comes of it.
#include "core_server_fixture.h"
#include "publish/admin_reply.h"

namespace hvguard::publish {
namespace {

std::string reload_request(const std::string& request_id = "r1") {
  v1::CoreRequest out;
  out.set_protocol_version(1);
  auto& request = *out.mutable_admin()->mutable_reload_config();
  request.set_request_id(request_id);
  request.set_reason("test");
  return out.SerializeAsString();
}

class CoreServerAdminTest : public CoreServerTest {
 protected:
  void listen_and_answer(CoreServerOptions options = {}) {
    listen(std::move(options));
    server_->on_admin([this](const AdminRequest& request) {
      asked.push_back(request.who);
      v1::AdminReply reply;
      reply.mutable_reload_config()->set_reload_count(3);
      return reply;
    });
  }
  v1::AdminReply ask(const std::string& packet) {
    ClientSocket client(path());
    EXPECT_TRUE(client.send(packet));
    v1::CorePacket out;
    EXPECT_TRUE(until([&] {
      const auto bytes = client.receive();
      return bytes && out.ParseFromString(*bytes);
    }));
    EXPECT_TRUE(is_closed(client));
    return out.admin_reply();
  }

  std::vector<std::string> asked;
};

TEST_F(CoreServerAdminTest, AnswersOnceAndCloses) {
  listen_and_answer();
  server_->publish(frame_of(1));  // a frame that is there already does not go to who asked
  EXPECT_EQ(ask(reload_request()).reload_config().reload_count(), 3U);
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(asked.front(),
            "uid " + std::to_string(::getuid()) + ", pid " + std::to_string(::getpid()));
  EXPECT_EQ(server_->refused_request_count(), 0U);
  EXPECT_EQ(server_->client_count(), 0U);
}

TEST_F(CoreServerAdminTest, AWrongRequestIsAnsweredWithItsError) {
  listen_and_answer();
  const v1::AdminReply reply = ask(reload_request("a b"));
  EXPECT_EQ(reply.error().code(), to_string(Errc::kInvalid));
  EXPECT_NE(reply.error().message().find("request_id"), std::string::npos);
  EXPECT_TRUE(asked.empty());
  EXPECT_EQ(server_->refused_request_count(), 1U);
}

TEST_F(CoreServerAdminTest, WithoutAHandlerItIsUnavailable) {
  listen();
  EXPECT_EQ(ask(reload_request()).error().code(), to_string(Errc::kUnavailable));
}

TEST_F(CoreServerAdminTest, TooManyAtOnceAreRefusedAndCounted) {
  listen_and_answer();
  const BootTime start = boot_time_now();
  int refused = 0;
  for (int i = 0; i < 2 * kAdminBurst; ++i) {
    refused += ask(reload_request()).error().code() == to_string(Errc::kExhausted) ? 1 : 0;
  }
  const auto earned = static_cast<int>((boot_time_now() - start) / kAdminInterval) + 1;
  EXPECT_GE(refused, kAdminBurst - earned);
  EXPECT_EQ(asked.size(), static_cast<std::size_t>(2 * kAdminBurst - refused));
  EXPECT_EQ(server_->refused_request_count(), static_cast<std::uint64_t>(refused));
}

TEST_F(CoreServerAdminTest, TheGatewayMayAskAndTheSpoolMayNot) {
  ASSERT_EQ(::getuid(), 0U) << "this test needs root, to become another user";
  listen_and_answer({.gateway_uid = kNobody});
  const auto packet_to = [&](uid_t uid) {
    const OtherUser other(folder_, uid, 1, reload_request());
    std::string packet;
    EXPECT_TRUE(until([&] {
      packet = other.output().value_or("");
      return !packet.empty();
    }));
    v1::CorePacket out;
    EXPECT_TRUE(out.ParseFromString(packet));
    return out;
  };
  EXPECT_TRUE(packet_to(kNobody).admin_reply().has_reload_config());
  server_.reset();
  listen_and_answer({.gateway_uid = 12345, .spool_uid = kNobody});
  EXPECT_EQ(packet_to(kNobody).error().message(),
            "only hvguard-gateway's user and root may change something");
  EXPECT_EQ(asked.size(), 1U);
}

}  // namespace
}  // namespace hvguard::publish
