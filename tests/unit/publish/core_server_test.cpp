// Frames for many clients, and what the server does with those that misbehave.
#include "publish/core_server.h"

#include <filesystem>
#include <fstream>

#include <sys/resource.h>

#include "core_server_fixture.h"

namespace hvguard::publish {
namespace {

using std::chrono::milliseconds;

TEST_F(CoreServerTest, GetFrameGivesOneAndCloses) {
  listen();
  server_->publish(frame_of(1, 3));
  ClientSocket client(path());
  ASSERT_TRUE(client.send(request(false)));
  const auto packets = receive_frame(client);
  ASSERT_EQ(packets.size(), 3U);
  EXPECT_EQ(packets[2].frame_part().tick(), 1U);
  EXPECT_TRUE(is_closed(client));
  EXPECT_EQ(server_->client_count(), 0U);
  EXPECT_EQ(server_->refused_request_count(), 0U);
}

TEST_F(CoreServerTest, GetFrameWaitsForTheFirstOne) {
  listen();
  ClientSocket client(path());
  ASSERT_TRUE(client.send(request(false)));
  ASSERT_TRUE(until([&] { return server_->client_count() == 1; }));
  turn_until_idle();
  EXPECT_FALSE(client.receive());
  server_->publish(frame_of(1));
  EXPECT_EQ(receive_frame(client).size(), 1U);
  EXPECT_TRUE(is_closed(client));
}

TEST_F(CoreServerTest, SubscribersGetEveryFrame) {
  listen();
  ClientSocket client(path());
  ASSERT_TRUE(client.send(request(true)));
  ASSERT_TRUE(until([&] { return server_->client_count() == 1; }));
  turn_until_idle();
  for (std::uint64_t number = 1; number <= 5; ++number) {
    server_->publish(frame_of(number));
    const auto packets = receive_frame(client);
    ASSERT_EQ(packets.size(), 1U);
    EXPECT_EQ(packets[0].frame_part().tick(), number);
  }
  EXPECT_EQ(server_->skipped_frame_count(), 0U);
}

TEST_F(CoreServerTest, ASlowReaderSkipsFramesAndGetsWholeOnes) {
  listen();
  ClientSocket slow(path());
  ClientSocket quick(path());
  ASSERT_TRUE(slow.send(request(true)));
  ASSERT_TRUE(quick.send(request(true)));
  ASSERT_TRUE(until([&] { return server_->client_count() == 2; }));
  turn_until_idle();
  for (std::uint64_t number = 1; number <= 10; ++number) {
    server_->publish(frame_of(number, 40));  // 2.4 MB: far more than a socket holds
    EXPECT_EQ(receive_frame(quick).size(), 40U);
  }
  EXPECT_EQ(server_->skipped_frame_count(), 8U);  // one is under way, one waits
  const auto first = receive_frame(slow);
  ASSERT_EQ(first.size(), 40U);
  for (const auto& packet : first) {
    EXPECT_EQ(packet.frame_part().tick(), 1U);
  }
  const auto second = receive_frame(slow);
  ASSERT_EQ(second.size(), 40U);
  EXPECT_EQ(second.front().frame_part().tick(), 10U);
}

TEST_F(CoreServerTest, AReaderThatTakesNothingIsClosed) {
  listen({.stall_deadline = milliseconds(50)});
  ClientSocket stuck(path());
  ASSERT_TRUE(stuck.send(request(true)));
  ASSERT_TRUE(until([&] { return server_->client_count() == 1; }));
  turn_until_idle();
  server_->publish(frame_of(1, 40));
  EXPECT_TRUE(until([&] { return server_->client_count() == 0; }));
}

TEST_F(CoreServerTest, GarbageIsRefusedWithAReasonAndClosed) {
  listen();
  ClientSocket client(path());
  ASSERT_TRUE(client.send("\xff\xff\xff\xff\xff"));
  EXPECT_EQ(receive_error(client), "not a hvguard.v1.CoreRequest");
  EXPECT_TRUE(is_closed(client));
  EXPECT_EQ(server_->refused_request_count(), 1U);
}

TEST_F(CoreServerTest, WrongVersionAndOversizeAreRefused) {
  listen();
  v1::CoreRequest future;
  future.set_protocol_version(7);
  future.mutable_get_frame();
  ClientSocket other_version(path());
  ASSERT_TRUE(other_version.send(future.SerializeAsString()));
  EXPECT_NE(receive_error(other_version).find("version 7"), std::string::npos);
  ClientSocket large(path());
  ASSERT_TRUE(large.send(std::string(100'000, 'x')));
  EXPECT_EQ(receive_error(large), "a request has at most 32768 bytes");
  EXPECT_EQ(server_->refused_request_count(), 2U);
}

TEST_F(CoreServerTest, ASecondRequestOrAFloodClosesTheConnection) {
  listen();
  ClientSocket client(path());
  ASSERT_TRUE(client.send(request(true)));
  ASSERT_TRUE(until([&] { return server_->client_count() == 1; }));
  turn_until_idle();
  for (int i = 0; i < 8; ++i) {
    client.send(request(true));
  }
  EXPECT_EQ(receive_error(client), "one request for each connection");
  EXPECT_TRUE(until([&] { return server_->client_count() == 0; }));
  EXPECT_EQ(server_->refused_request_count(), 1U);
}

TEST_F(CoreServerTest, WhoSendsNothingIsClosed) {
  listen({.request_deadline = milliseconds(30)});
  ClientSocket silent(path());
  EXPECT_TRUE(is_closed(silent));
  EXPECT_EQ(server_->refused_request_count(), 1U);
}

TEST_F(CoreServerTest, TheOneTooManyIsRefusedAndAFreedPlaceIsGivenAgain) {
  listen();
  std::vector<ClientSocket> clients;
  for (std::size_t i = 0; i < kMaxClients; ++i) {
    clients.emplace_back(path());
  }
  ASSERT_TRUE(until([&] { return server_->client_count() == kMaxClients; }));
  ClientSocket excess(path());
  EXPECT_EQ(receive_error(excess), "10 clients are connected already");
  EXPECT_TRUE(is_closed(excess));
  clients.front().close();
  ASSERT_TRUE(until([&] { return server_->client_count() == kMaxClients - 1; }));
  server_->publish(frame_of(1));
  ClientSocket next(path());
  ASSERT_TRUE(next.send(request(false)));
  EXPECT_EQ(receive_frame(next).size(), 1U);
}

TEST_F(CoreServerTest, AClientThatDiesMidFrameDisturbsNobody) {
  listen();
  ClientSocket dying(path());
  ClientSocket other(path());
  ASSERT_TRUE(dying.send(request(true)));
  ASSERT_TRUE(other.send(request(true)));
  ASSERT_TRUE(until([&] { return server_->client_count() == 2; }));
  turn_until_idle();
  server_->publish(frame_of(1, 40));
  dying.close();
  EXPECT_EQ(receive_frame(other).size(), 40U);
  server_->publish(frame_of(2));
  EXPECT_EQ(receive_frame(other).front().frame_part().tick(), 2U);
  EXPECT_TRUE(until([&] { return server_->client_count() == 1; }));
}

TEST_F(CoreServerTest, AConnectionFloodIsSlowedDownAndOver) {
  listen({.accept_pause = milliseconds(20)});
  // Nobody serves the backlog while this fills it.
  std::vector<ClientSocket> flood;
  for (int i = 0; i < 200; ++i) {
    flood.emplace_back(path());
    sd_event_run(event_, 0);
  }
  flood.clear();
  ASSERT_TRUE(until([&] { return server_->client_count() == 0; }));
  server_->publish(frame_of(1));
  std::optional<ClientSocket> client;
  ASSERT_TRUE(until([&] {
    client.emplace(path());
    return client->connected();
  }));
  ASSERT_TRUE(client->send(request(false)));
  EXPECT_EQ(receive_frame(*client).size(), 1U);
}

TEST_F(CoreServerTest, SurvivesHavingNoDescriptors) {
  listen({.accept_pause = milliseconds(20)});
  server_->publish(frame_of(1));
  ClientSocket waiting(path());
  ASSERT_TRUE(waiting.connected());
  rlimit old_limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old_limit), 0);
  rlimit limit = old_limit;
  limit.rlim_cur = 64;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  std::vector<UniqueFd> hoard;
  while (true) {
    UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) {
      break;
    }
    hoard.push_back(std::move(fd));
  }
  EXPECT_EQ(receive_error(waiting), "hvguardd has no file descriptors left; try again later");
  EXPECT_EQ(server_->refused_request_count(), 1U);
  hoard.clear();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old_limit), 0);
  ClientSocket client(path());
  ASSERT_TRUE(client.send(request(false)));
  EXPECT_EQ(receive_frame(client).size(), 1U);
}

TEST_F(CoreServerTest, AStaleSocketIsReplacedALiveOneIsNot) {
  listen();
  const auto second = CoreServer::listen(event_, {.path = path()});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message,
            "socket " + path() + ": another process serves it; stop that one first");
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(path()));
  {  // left behind, as by kill -9
    const UniqueFd dead(::socket(AF_UNIX, SOCK_SEQPACKET, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path().data(), path().size());
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  ASSERT_TRUE(std::filesystem::exists(path()));
  listen();
}

TEST_F(CoreServerTest, SomethingElseInItsPlaceIsNotRemoved) {
  std::ofstream(path()) << "precious";
  const auto server = CoreServer::listen(event_, {.path = path()});
  ASSERT_FALSE(server);
  EXPECT_TRUE(std::filesystem::exists(path()));
}

TEST_F(CoreServerTest, OnlyOwnerAndGroupMayOpenTheFile) {
  listen();
  struct stat info{};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0660U);
}

TEST_F(CoreServerTest, StrangersAreRefused) {
  ASSERT_EQ(::getuid(), 0U) << "this test needs root, to become another user";
  listen({.gateway_uid = 12345});
  const OtherUser stranger(folder_, kNobody, 1);
  std::string packet;
  ASSERT_TRUE(until([&] {
    packet = stranger.output().value_or("");
    return !packet.empty();
  }));
  v1::CorePacket out;
  ASSERT_TRUE(out.ParseFromString(packet));
  EXPECT_EQ(out.error().message(),
            "user 65534 may not use this socket: only root, the gateway and the spool may");
  EXPECT_EQ(server_->client_count(), 0U);
}

TEST_F(CoreServerTest, TheGatewayCannotTakeRootsPlaces) {
  ASSERT_EQ(::getuid(), 0U) << "this test needs root, to become another user";
  listen({.gateway_uid = kNobody});
  const OtherUser gateway(folder_, kNobody, kMaxGatewayClients + 1);
  std::string packet;
  std::optional<ClientSocket> root;
  ASSERT_TRUE(until([&] {
    if (server_->client_count() == kMaxGatewayClients && !root) {
      root.emplace(path());
    }
    packet = gateway.output().value_or("");
    return !packet.empty();
  }));
  v1::CorePacket out;
  ASSERT_TRUE(out.ParseFromString(packet));
  EXPECT_EQ(out.error().message(), "the gateway has 6 connections already");
}

}  // namespace
}  // namespace hvguard::publish
