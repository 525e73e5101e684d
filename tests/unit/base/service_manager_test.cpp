#include "base/service_manager.h"

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

namespace hvguard {
namespace {

// A service manager that reads only when told to.
class ServiceManagerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = std::filesystem::temp_directory_path() / "hvguard-notify-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override {
    ::unsetenv("NOTIFY_SOCKET");
    std::filesystem::remove_all(folder_);
  }

  // `name` as in $NOTIFY_SOCKET.
  void listen(const std::string& name) {
    socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name.front() == '@') {
      address.sun_path[0] = '\0';
    }
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    ASSERT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  }

  [[nodiscard]] std::string received() const {
    std::array<char, 512> buffer{};
    const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    return size < 0 ? "nothing" : std::string(buffer.data(), static_cast<std::size_t>(size));
  }

  std::filesystem::path folder_;
  UniqueFd socket_;
};

TEST_F(ServiceManagerTest, IsTold) {
  listen(folder_ / "notify");
  EXPECT_TRUE(tell_service_manager("READY=1\nSTATUS=fine"));
  EXPECT_EQ(received(), "READY=1\nSTATUS=fine");
}

TEST_F(ServiceManagerTest, IsToldInTheAbstractNameSpace) {
  listen("@hvguard-test-" + folder_.filename().string());
  EXPECT_TRUE(tell_service_manager("WATCHDOG=1"));
  EXPECT_EQ(received(), "WATCHDOG=1");
}

// With sd_notify() this test never ends: as in a service while PID 1 stands still.
TEST_F(ServiceManagerTest, IsNotWaitedForWhenItsQueueIsFull) {
  listen(folder_ / "notify");
  ::alarm(20);
  int taken = 0;
  while (taken < 1'000'000 && tell_service_manager("WATCHDOG=1")) {
    ++taken;
  }
  ::alarm(0);
  EXPECT_GT(taken, 0);
  EXPECT_LT(taken, 1'000'000);
  EXPECT_EQ(received(), "WATCHDOG=1");
  EXPECT_TRUE(tell_service_manager("WATCHDOG=1"));
}

TEST_F(ServiceManagerTest, MayBeMissing) {
  ::unsetenv("NOTIFY_SOCKET");
  EXPECT_TRUE(tell_service_manager("READY=1"));
  ::setenv("NOTIFY_SOCKET", (folder_ / "nobody").c_str(), 1);
  EXPECT_FALSE(tell_service_manager("READY=1"));
  ::setenv("NOTIFY_SOCKET", std::string(200, 'x').c_str(), 1);
  EXPECT_FALSE(tell_service_manager("READY=1"));
}

}  // namespace
}  // namespace hvguard
