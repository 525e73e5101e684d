#include "gateway/acceptor.h"

#include <array>
#include <cstring>
#include <ctime>
#include <mutex>
#include <vector>

#include <grp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/listener.h"
#include "temp_dir.h"
#include "wait.h"

namespace hvguard::gateway {
namespace {

using test::eventually;

class AcceptorTest : public ::testing::Test {
 protected:
  void start(AcceptorLimits limits, PeerPolicy policy = {::geteuid(), std::nullopt}) {
    auto listener = listen_on(path, std::nullopt);
    ASSERT_TRUE(listener) << listener.error().message;
    lock = std::move(listener->lock);
    acceptor = std::make_unique<Acceptor>(
        std::move(listener->fd), limits, policy, [this](Role role, UniqueFd fd) {
          const std::lock_guard guard(mutex);
          taken.push_back(std::move(fd));
          last_role = role;
        });
    ASSERT_TRUE(acceptor->start());
  }

  UniqueFd connect() const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return fd;
  }

  static std::string read_to_end(const UniqueFd& fd) {
    std::string text;
    std::array<char, 512> buffer{};
    pollfd ready{fd.get(), POLLIN, 0};
    while (::poll(&ready, 1, 5000) > 0) {
      const ssize_t size = ::read(fd.get(), buffer.data(), buffer.size());
      if (size <= 0) {
        break;
      }
      text.append(buffer.data(), static_cast<std::size_t>(size));
    }
    return text;
  }

  static Nanoseconds process_cpu_time() {
    timespec used{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return std::chrono::seconds(used.tv_sec) + Nanoseconds(used.tv_nsec);
  }

  void drop_taken() {
    const std::lock_guard guard(mutex);
    taken.clear();
  }

  std::size_t taken_count() {
    const std::lock_guard guard(mutex);
    return taken.size();
  }

  test::TempDir dir;
  const std::string path = dir.file("agent.sock");
  UniqueFd lock;
  std::mutex mutex;
  std::vector<UniqueFd> taken;
  std::optional<Role> last_role;
  std::unique_ptr<Acceptor> acceptor;
};

TEST_F(AcceptorTest, CapsConnectionsOfOneUserAndFreesThem) {
  start({64, 2});
  std::vector<UniqueFd> clients;
  clients.push_back(connect());
  clients.push_back(connect());
  ASSERT_TRUE(eventually([&] { return taken_count() == 2; }));
  EXPECT_NE(read_to_end(connect()).find("max-connections-per-uid"), std::string::npos);
  EXPECT_EQ(acceptor->counts().over_limit, 1U);
  clients.pop_back();  // the peer goes; the handler's end is still open
  ASSERT_TRUE(eventually([&] {
    clients.push_back(connect());
    return eventually([&] { return taken_count() == 3; }, std::chrono::milliseconds(100));
  }));
}

TEST_F(AcceptorTest, DoesNotSpinOverAConnectionThatOnlyThePeerEnded) {
  start({64, 16});
  {
    const UniqueFd client = connect();
    ASSERT_TRUE(eventually([&] { return taken_count() == 1; }));
  }
  // The handler still holds its end: epoll would report its hang-up again and again.
  const Nanoseconds before = process_cpu_time();
  EXPECT_FALSE(eventually([&] { return taken_count() > 1; }, std::chrono::milliseconds(500)));
  EXPECT_LT(process_cpu_time() - before, std::chrono::milliseconds(200));
}

TEST_F(AcceptorTest, NoticesThatTheHandlerEndedAConnection) {
  start({64, 1});
  const UniqueFd first = connect();
  ASSERT_TRUE(eventually([&] { return taken_count() == 1; }));
  {
    const std::lock_guard guard(mutex);
    ::shutdown(taken[0].get(), SHUT_RDWR);  // as gRPC does before it closes
    taken[0].reset();
  }
  std::vector<UniqueFd> clients;
  EXPECT_TRUE(eventually([&] {
    clients.push_back(connect());
    return eventually([&] { return taken_count() == 2; }, std::chrono::milliseconds(100));
  }));
}

TEST_F(AcceptorTest, TurnsAwayThoseWithoutARoleAndSaysWhy) {
  if (::geteuid() == 0) {
    start({64, 16});
    ASSERT_EQ(::chmod(dir.path().c_str(), 0755), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      const bool changed =
          ::setgroups(0, nullptr) == 0 && ::setgid(65534) == 0 && ::setuid(65534) == 0;
      const std::string words = changed ? read_to_end(connect()) : "";
      ::_exit(words.find("uid 65534 may not read") != std::string::npos ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  } else {
    start({64, 16}, {::geteuid() + 1, std::nullopt});
    EXPECT_NE(read_to_end(connect()).find("may not read"), std::string::npos);
  }
  EXPECT_EQ(acceptor->counts().denied, 1U);
  EXPECT_EQ(taken_count(), 0U);
}

TEST_F(AcceptorTest, SurvivesTheLackOfDescriptors) {
  start({1024, 1024});
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(connect());
  }
  ASSERT_TRUE(eventually([&] { return taken_count() == 10; }));
  std::vector<UniqueFd> waiting;
  for (int i = 0; i < 4; ++i) {
    waiting.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  }
  rlimit none = before;
  none.rlim_cur = 3;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  for (const UniqueFd& fd : waiting) {
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  EXPECT_TRUE(eventually([&] { return acceptor->counts().out_of_fds > 0; }));
  const Nanoseconds cpu_before = process_cpu_time();
  EXPECT_FALSE(eventually([&] { return taken_count() > 10; }, std::chrono::milliseconds(500)));
  EXPECT_LT(process_cpu_time() - cpu_before, std::chrono::milliseconds(200)) << "the loop spins";
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(eventually([&] {
    clients.push_back(connect());
    return eventually([&] { return taken_count() > 10; }, std::chrono::milliseconds(300));
  }));
}

TEST_F(AcceptorTest, OnlyOneGatewayServesASocket) {
  start({64, 16});
  const auto second = listen_on(path, std::nullopt);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("another hvguard-gateway"), std::string::npos);
}

TEST_F(AcceptorTest, KnowsTheProcessesOfRoot) {
  ASSERT_EQ(::geteuid(), 0U) << "this test needs root, to be it";
  start({});
  EXPECT_TRUE(acceptor->root_pids().empty());
  {
    const UniqueFd first = connect();
    const UniqueFd second = connect();
    ASSERT_TRUE(eventually([&] { return taken_count() == 2; }));
    EXPECT_EQ(acceptor->root_pids(), std::vector<pid_t>{::getpid()});  // once, though twice here
  }
  drop_taken();
  EXPECT_TRUE(eventually([&] { return acceptor->root_pids().empty(); }));
}

}  // namespace
}  // namespace hvguard::gateway
