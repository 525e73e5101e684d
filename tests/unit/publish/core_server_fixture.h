// The server against real sockets, on one thread: the test turns the loop itself, so nothing here
// waits for luck.
#pragma once

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hvguard/v1/core_link.pb.h"
#include "publish/core_server.h"

namespace hvguard::publish {

inline constexpr auto kPatience = std::chrono::seconds(20);

inline std::shared_ptr<const Frame> frame_of(std::uint64_t number, std::size_t vms = 1) {
  FrameContent content;
  content.epoch = 1;
  content.number = number;
  content.vms.resize(vms);
  for (v1::Vm& vm : content.vms) {
    vm.set_name(std::string(60'000, 'v'));  // one packet each
  }
  return encode_frame(std::move(content));
}

inline std::string request(bool subscribe) {
  v1::CoreRequest out;
  out.set_protocol_version(1);
  if (subscribe) {
    out.mutable_subscribe_frames();
  } else {
    out.mutable_get_frame();
  }
  return out.SerializeAsString();
}

class ClientSocket {
 public:
  explicit ClientSocket(const std::string& path)
      : fd_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    connected_ =
        ::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }

  [[nodiscard]] bool connected() const { return connected_; }
  bool send(const std::string& packet) const {
    return ::send(fd_.get(), packet.data(), packet.size(), MSG_NOSIGNAL) >= 0;
  }
  // None: nothing there yet. An empty text: closed by the server.
  std::optional<std::string> receive() {
    std::string buffer(2 * kMaxPacketBytes, '\0');
    const ssize_t size = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EAGAIN) {
      return std::nullopt;
    }
    buffer.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return buffer;
  }
  void close() { fd_.reset(); }

 private:
  UniqueFd fd_;
  bool connected_ = false;
};

class CoreServerTest : public testing::Test {
 protected:
  CoreServerTest() {
    std::string pattern = testing::TempDir() + "hvguard-core-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    sd_event_new(&event_);
  }
  ~CoreServerTest() override {
    server_.reset();
    sd_event_unref(event_);
    std::filesystem::remove_all(folder_);
  }

  [[nodiscard]] std::string path() const { return folder_ + "/core.sock"; }
  void listen(CoreServerOptions options = {}) {
    options.path = path();
    server_ = CoreServer::listen(event_, std::move(options)).value();
  }
  // Turns the loop until the condition holds; false when patience is over.
  bool until(const std::function<bool()>& condition) {
    const BootTime start = boot_time_now();
    while (!condition()) {
      if (boot_time_now() - start > kPatience) {
        return false;
      }
      sd_event_run(event_, 1000);
    }
    return true;
  }
  void turn_until_idle() {
    while (sd_event_run(event_, 0) > 0) {
    }
  }
  // All that comes until the server closes or a frame is whole.
  std::vector<v1::CorePacket> receive_frame(ClientSocket& client) {
    std::vector<v1::CorePacket> packets;
    const bool done = until([&] {
      const auto bytes = client.receive();
      if (!bytes) {
        return false;
      }
      if (bytes->empty()) {
        return true;
      }
      EXPECT_TRUE(packets.emplace_back().ParseFromString(*bytes));
      return packets.back().has_error() || packets.back().frame_part().last();
    });
    EXPECT_TRUE(done);
    return packets;
  }
  std::string receive_error(ClientSocket& client) {
    const auto packets = receive_frame(client);
    return packets.empty() ? "" : packets.back().error().message();
  }
  bool is_closed(ClientSocket& client) {
    return until([&] {
      const auto bytes = client.receive();
      return bytes && bytes->empty();
    });
  }

  std::string folder_;
  sd_event* event_ = nullptr;
  std::unique_ptr<CoreServer> server_;
};

// A child with another user id connects; the parent serves. Gives what the child received.
class OtherUser {
 public:
  // `request` goes out on the first connection.
  OtherUser(const std::string& folder,
            uid_t uid,
            std::size_t connections,
            const std::string& request = "") {
    ::chmod(folder.c_str(), 0755);
    const std::string path = folder + "/core.sock";
    ::chmod(path.c_str(), 0666);
    std::array<int, 2> pipe{};
    EXPECT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
    child_ = ::fork();
    if (child_ == 0) {
      std::vector<ClientSocket> clients;
      if (::setuid(uid) != 0) {
        ::_exit(1);
      }
      for (std::size_t i = 0; i < connections; ++i) {
        clients.emplace_back(path);
      }
      if (!request.empty()) {
        clients.front().send(request);
      }
      std::string last;
      for (int i = 0; i < 2000 && last.empty(); ++i) {
        ::usleep(5000);
        last = clients.back().receive().value_or("");
      }
      static_cast<void>(!::write(pipe[1], last.data(), last.size()));
      ::_exit(0);
    }
    ::close(pipe[1]);
    output_ = UniqueFd(pipe[0]);
    ::fcntl(output_.get(), F_SETFL, O_NONBLOCK);
  }
  ~OtherUser() { ::waitpid(child_, nullptr, 0); }

  std::optional<std::string> output() const {
    std::array<char, 4096> buffer{};
    const ssize_t size = ::read(output_.get(), buffer.data(), buffer.size());
    return size < 0 ? std::nullopt
                    : std::optional(std::string(buffer.data(), static_cast<std::size_t>(size)));
  }

 private:
  pid_t child_ = -1;
  UniqueFd output_;
};

inline constexpr uid_t kNobody = 65534;

}  // namespace hvguard::publish
