#include "fake_core.h"

#include <array>
#include <cstring>
#include <stdexcept>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "sample_frame.h"

namespace hvguard::test {
namespace {

// False: the reader has gone.
bool send_all(int fd, const std::vector<std::string>& packets) {
  for (const std::string& packet : packets) {
    if (::send(fd, packet.data(), packet.size(), MSG_NOSIGNAL) < 0) {
      return false;
    }
  }
  return true;
}

}  // namespace

FakeCore::FakeCore(std::string path)
    : path_(std::move(path)), listener_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  ::unlink(path_.c_str());
  if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(listener_.get(), 8) != 0) {
    throw std::runtime_error("cannot serve " + path_);
  }
  thread_ = std::thread([this] { run(); });
}

FakeCore::~FakeCore() {
  stopping_ = true;
  thread_.join();
  ::unlink(path_.c_str());
}

void FakeCore::run() {
  while (!stopping_) {
    pollfd ready{listener_.get(), POLLIN, 0};
    if (::poll(&ready, 1, 20) > 0) {
      serve(UniqueFd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)));
    }
  }
}

void FakeCore::serve(UniqueFd client) {
  pollfd ready{client.get(), POLLIN, 0};
  std::array<char, 8192> buffer{};
  v1::CoreRequest request;
  if (::poll(&ready, 1, 1000) <= 0) {
    return;
  }
  const ssize_t size = ::recv(client.get(), buffer.data(), buffer.size(), 0);
  if (size <= 0 || !request.ParseFromArray(buffer.data(), static_cast<int>(size)) ||
      request.protocol_version() != 1) {
    v1::CorePacket refusal;
    refusal.mutable_error()->set_message("protocol_version must be 1");
    send_all(client.get(), {refusal.SerializeAsString()});
    return;
  }
  const std::lock_guard lock(mutex_);
  if (request.has_admin()) {
    auto reply = on_admin_ ? on_admin_(request.admin()) : std::nullopt;
    if (reply) {
      v1::CorePacket packet;
      *packet.mutable_admin_reply() = std::move(*reply);
      send_all(client.get(), {packet.SerializeAsString()});
    } else {
      unanswered_.push_back(std::move(client));
    }
    return;
  }
  send_all(client.get(), packets_);
  if (request.has_subscribe_frames()) {
    subscribers_.push_back(std::move(client));
  }
}

void FakeCore::tell(const link::Frame& frame) {
  const auto packets = to_packets(frame);
  {
    const std::lock_guard lock(mutex_);
    packets_ = packets;
  }
  tell_packets(packets);
}

void FakeCore::tell_packets(const std::vector<std::string>& packets) {
  const std::lock_guard lock(mutex_);
  std::erase_if(subscribers_, [&](const UniqueFd& fd) { return !send_all(fd.get(), packets); });
}

void FakeCore::on_admin(OnAdmin answer) {
  const std::lock_guard lock(mutex_);
  on_admin_ = std::move(answer);
}

std::size_t FakeCore::subscriber_count() {
  const std::lock_guard lock(mutex_);
  std::erase_if(subscribers_, [](const UniqueFd& fd) {
    pollfd gone{fd.get(), 0, 0};
    return ::poll(&gone, 1, 0) > 0;
  });
  return subscribers_.size();
}

}  // namespace hvguard::test
