// Who may connect, how many, and what a stranger gets.
#include <array>
#include <atomic>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "gateway_process.h"

namespace hvguard::test {
namespace {

constexpr uid_t kNobody = 65534;

class AccessTest : public GatewayTest {
 protected:
  UniqueFd raw_connection() const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = socket_path();
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return fd;
  }

  // True once the gateway closed it.
  static bool closed_within(const UniqueFd& fd, int milliseconds) {
    return eventually(
        [&] {
          std::array<char, 256> buffer{};
          pollfd ready{fd.get(), POLLIN, 0};
          return ::poll(&ready, 1, 10) > 0 && ::read(fd.get(), buffer.data(), buffer.size()) <= 0;
        },
        std::chrono::milliseconds(milliseconds));
  }

  int ctl_as(uid_t uid,
             std::string& err,
             const std::vector<std::string>& words = {"status"}) const {
    std::vector<std::string> command = {HVGUARD_CTL_PROGRAM, "--socket", socket_path()};
    command.insert(command.end(), words.begin(), words.end());
    Process ctl(command, "", dir.file("ctl.err"), {uid, std::nullopt, {}});
    const auto code = ctl.wait(std::chrono::seconds(10));
    err = read_whole_file(dir.file("ctl.err"));
    return code.value_or(-1);
  }
};

TEST_F(AccessTest, AStrangerIsTurnedAwayWithTheReason) {
  if (::geteuid() != 0) {
    FAIL() << "run as root: another user is needed";
  }
  start_both();
  ::close(::open(dir.file("ctl.err").c_str(), O_CREAT | O_WRONLY, 0666));
  std::string err;
  EXPECT_EQ(ctl_as(kNobody, err), 5);
  EXPECT_NE(err.find("uid 65534 may not read from hvguard-gateway"), std::string::npos) << err;
  gateway->signal(SIGTERM);
  ASSERT_EQ(gateway->wait(std::chrono::seconds(5)), 0);
  EXPECT_NE(gateway_log().find("connection refused: uid 65534"), std::string::npos);
}

TEST_F(AccessTest, AMemberOfTheViewerGroupReads) {
  if (::geteuid() != 0) {
    FAIL() << "run as root: another user is needed";
  }
  start_both({"--viewer-group", "65534"});  // nobody's own group
  std::string err;
  EXPECT_EQ(ctl_as(kNobody, err), 0) << err;
}

TEST_F(AccessTest, AMemberOfTheViewerGroupChangesNothing) {
  if (::geteuid() != 0) {
    FAIL() << "run as root: another user is needed";
  }
  start_both({"--viewer-group", "65534"});
  std::atomic<int> asked = 0;
  core->on_admin([&](const v1::AdminCall&) {
    ++asked;
    return std::optional(v1::AdminReply());
  });
  std::string err;
  EXPECT_EQ(ctl_as(kNobody, err, {"cordon", "--reason", "r"}), 5);
  EXPECT_NE(err.find("role viewer may not call /hvguard.v1.AdminService/SetCordon"),
            std::string::npos)
      << err;
  EXPECT_EQ(asked, 0);
}

TEST_F(AccessTest, TheGatewayRunsWithoutAnyRight) {
  if (::geteuid() != 0) {
    FAIL() << "run as root: another user is needed";
  }
  ASSERT_EQ(::chown(dir.path().c_str(), kNobody, kNobody), 0);
  core = std::make_unique<FakeCore>(core_path());
  ASSERT_EQ(::chown(core_path().c_str(), kNobody, kNobody), 0);
  tell();
  start_gateway({}, {kNobody, std::nullopt, {}});
  v1::GetStatusResponse response;
  EXPECT_TRUE(eventually([&] { return get_status(response).ok(); })) << gateway_log();
}

TEST_F(AccessTest, CapsConnectionsOfOneUser) {
  start_both({"--max-connections-per-uid", "3"});
  v1::GetStatusResponse response;
  // start_both's own connection ends first.
  std::vector<UniqueFd> idle;
  ASSERT_TRUE(eventually([&] {
    idle.push_back(raw_connection());
    return closed_within(idle.back(), 100);
  }));
  EXPECT_FALSE(get_status(response, 300).ok());
  idle.clear();
  EXPECT_TRUE(eventually([&] { return get_status(response).ok(); }));
}

TEST_F(AccessTest, SurvivesTheLackOfDescriptors) {
  // The attack that kills gRPC's own listener for ever: more connections than descriptors.
  start_both({"--max-connections", "1024", "--max-connections-per-uid", "1024"},
             {std::nullopt, 48, {}});
  std::vector<UniqueFd> idle;
  for (int i = 0; i < 80; ++i) {
    idle.push_back(raw_connection());
  }
  ASSERT_TRUE(eventually([&] {
    return gateway_log().find("cannot accept a connection") != std::string::npos ||
           gateway_log().find("no file descriptors left") != std::string::npos;
  })) << gateway_log();
  const Nanoseconds cpu_before = gateway->cpu_time();
  const BootTime begun = boot_time_now();
  v1::GetStatusResponse response;
  EXPECT_FALSE(get_status(response, 1000).ok());
  EXPECT_LT(gateway->cpu_time() - cpu_before, (boot_time_now() - begun) / 2) << "it spins";
  idle.clear();
  EXPECT_TRUE(eventually([&] { return get_status(response, 500).ok(); }, std::chrono::seconds(2)))
      << gateway_log();
}

TEST_F(AccessTest, GarbageAndSilenceCostOnlyTheirOwnConnection) {
  start_both();
  const std::vector<std::string> bad = {
      "GET / HTTP/1.1\r\n\r\n",
      std::string(100'000, '\xff'),
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string(5000, '\x01'),
      // SETTINGS, then HEADERS that refer to no header table entry.
      std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + std::string("\0\0\0\4\0\0\0\0\0", 9) +
          std::string("\0\0\2\1\5\0\0\0\1\xff\xff", 11)};
  for (const std::string& bytes : bad) {
    const UniqueFd fd = raw_connection();
    ASSERT_GT(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT), 0);
    EXPECT_TRUE(closed_within(fd, 15'000)) << bytes.substr(0, 20);
  }
  const UniqueFd silent = raw_connection();
  EXPECT_TRUE(closed_within(silent, 15'000)) << "one that says nothing is held for ever";
  v1::GetStatusResponse response;
  EXPECT_TRUE(get_status(response).ok());
  EXPECT_TRUE(gateway->running());
}

TEST_F(AccessTest, OversizeMetadataIsRefused) {
  start_both();
  const auto stub = client();
  grpc::ClientContext context;
  set_deadline(context);
  context.AddMetadata("x-large", std::string(20'000, 'x'));
  v1::GetStatusResponse response;
  EXPECT_FALSE(stub->GetStatus(&context, {}, &response).ok());
  EXPECT_TRUE(get_status(response).ok());
}

TEST_F(AccessTest, RefusesUnknownMethodsAndTooManyCalls) {
  start_both();
  const auto shared = channel();
  const auto stub = v1::AgentService::NewStub(shared);
  int refused = 0;
  for (int i = 0; i < 600; ++i) {
    grpc::ClientContext context;
    set_deadline(context);
    v1::GetStatusResponse response;
    const auto status = stub->GetStatus(&context, {}, &response);
    if (!status.ok()) {
      EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
      ++refused;
    }
  }
  EXPECT_GT(refused, 0);
}

TEST_F(AccessTest, AnIndependentClientSeesHealthReflectionAndRoles) {
  start_both();
  Process client({"/usr/bin/python3",
                  HVGUARD_API_TESTS "/grpc_client.py",
                  "unix:" + socket_path(),
                  HVGUARD_DESCRIPTOR},
                 dir.file("out"),
                 dir.file("out"));
  EXPECT_EQ(client.wait(std::chrono::seconds(20)), 0) << read_whole_file(dir.file("out"));
}

}  // namespace
}  // namespace hvguard::test
