#include "daemon_process.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hvguard::guard {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto kPatience = seconds(30);

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

bool wait_readable(int fd, BootTime until) {
  const auto left = std::chrono::duration_cast<milliseconds>(until - boot_time_now()).count();
  pollfd poll_fd{fd, POLLIN, 0};
  return left > 0 && ::poll(&poll_fd, 1, static_cast<int>(left)) == 1;
}

}  // namespace

DaemonProcess::DaemonProcess(std::string folder, const std::string& config)
    : folder_(std::move(folder)) {
  write_config(config);
  const std::string notify_path = folder_ + "/notify";
  ::unlink(notify_path.c_str());
  notify_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const sockaddr_un address = address_of(notify_path);
  static_cast<void>(
      ::bind(notify_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
  pid_ = ::fork();
  if (pid_ == 0) {
    ::setenv("NOTIFY_SOCKET", notify_path.c_str(), 1);
    ::unsetenv("JOURNAL_STREAM");
    const int log = ::open((folder_ + "/stderr").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ::dup2(log, STDERR_FILENO);
    const std::string config_path = folder_ + "/hvguard.toml";
    const std::string run_path = folder_ + "/run";
    ::execl(HVGUARDD,
            HVGUARDD,
            "--config",
            config_path.c_str(),
            "--runtime-dir",
            run_path.c_str(),
            "--probe",
            HVGUARD_PROBE,
            nullptr);
    ::_exit(127);
  }
}

DaemonProcess::~DaemonProcess() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
}

void DaemonProcess::write_config(const std::string& config) const {
  std::ofstream(folder_ + "/hvguard.toml") << config;
}

void DaemonProcess::signal(int number) const {
  ::kill(pid_, number);
}

std::optional<int> DaemonProcess::wait(Nanoseconds deadline) {
  const BootTime until = boot_time_now() + deadline;
  int status = 0;
  while (::waitpid(pid_, &status, WNOHANG) == 0) {
    if (boot_time_now() > until) {
      return std::nullopt;
    }
    ::usleep(2000);
  }
  pid_ = -1;
  return WIFEXITED(status) ? std::optional(WEXITSTATUS(status)) : std::nullopt;
}

bool DaemonProcess::notified(const std::string& line, int count) {
  const BootTime until = boot_time_now() + kPatience;
  std::array<char, 4096> buffer{};
  while (count > 0) {
    if (!wait_readable(notify_.get(), until)) {
      return false;
    }
    const ssize_t size = ::recv(notify_.get(), buffer.data(), buffer.size(), 0);
    const std::string message =
        "\n" + std::string(buffer.data(), size < 0 ? 0 : static_cast<std::size_t>(size)) + "\n";
    count -= message.find("\n" + line + "\n") != std::string::npos ? 1 : 0;
  }
  return true;
}

void DaemonProcess::forget_notifications() {
  std::array<char, 4096> buffer{};
  while (::recv(notify_.get(), buffer.data(), buffer.size(), 0) >= 0) {
  }
}

UniqueFd DaemonProcess::connect() const {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const sockaddr_un address = address_of(socket_path());
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    fd.reset();
  }
  return fd;
}

std::optional<v1::FramePart> DaemonProcess::frame() const {
  const BootTime until = boot_time_now() + kPatience;
  const UniqueFd fd = connect();
  v1::CoreRequest request;
  request.set_protocol_version(1);
  request.mutable_get_frame();
  const std::string bytes = request.SerializeAsString();
  if (::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) {
    return std::nullopt;
  }
  v1::FramePart whole;
  std::string buffer(128 * 1024, '\0');
  while (wait_readable(fd.get(), until)) {
    const ssize_t size = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    v1::CorePacket packet;
    if (size <= 0 || !packet.ParseFromArray(buffer.data(), static_cast<int>(size)) ||
        !packet.has_frame_part()) {
      return std::nullopt;
    }
    whole.MergeFrom(packet.frame_part());
    if (packet.frame_part().last()) {
      return whole;
    }
  }
  return std::nullopt;
}

std::string DaemonProcess::errors() const {
  std::ifstream file(folder_ + "/stderr");
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace hvguard::guard
