#include "link/core_connection.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace hvguard::link {
namespace {

constexpr std::uint32_t kProtocolVersion = 1;
constexpr int kFullBacklogRetryMs = 20;

enum class Readiness { kReady, kWoken, kTimedOut };

int milliseconds_until(BootTime deadline) {
  const Nanoseconds left = deadline - boot_time_now();
  const auto whole = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::clamp<std::int64_t>(whole, 0, 3'600'000));
}

Result<Readiness> wait_for(int fd, short events, int wake_fd, BootTime deadline) {
  for (;;) {
    std::array<pollfd, 2> fds = {pollfd{fd, events, 0}, pollfd{wake_fd, POLLIN, 0}};
    const int count = ::poll(fds.data(), fds.size(), milliseconds_until(deadline));
    if (count < 0 && errno != EINTR) {
      return fail_errno(errno, "poll");
    }
    if (count > 0) {
      return fds[1].revents != 0 ? Readiness::kWoken : Readiness::kReady;
    }
    if (boot_time_now() >= deadline) {
      return Readiness::kTimedOut;
    }
  }
}

// What a failed connect() means to the operator.
tl::unexpected<Error> connect_failure(int sys_errno, const std::string& path) {
  if (sys_errno == ENOENT || sys_errno == ECONNREFUSED) {
    return fail(Error{Errc::kUnavailable,
                      sys_errno,
                      fmt::format("cannot reach hvguardd at {}: {}: is hvguardd running? "
                                  "`systemctl status hvguardd`",
                                  path,
                                  sys_errno == ENOENT ? "no such socket" : "nobody listens")});
  }
  if (sys_errno == EACCES || sys_errno == EPERM) {
    return fail(Error{Errc::kDenied,
                      sys_errno,
                      fmt::format("cannot reach hvguardd at {}: permission denied: only root and "
                                  "the users of hvguard-gateway and hvguard-spool may",
                                  path)});
  }
  return fail_errno(sys_errno, fmt::format("cannot reach hvguardd at {}", path));
}

// connect() of a unix socket waits only for room in the listener's backlog, and says EAGAIN on a
// non-blocking socket; poll() cannot wait for that.
Result<> connect_until(int fd, const std::string& path, BootTime deadline, int wake_fd) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return fail(Errc::kInvalid,
                fmt::format("socket path '{}' is empty or longer than {} bytes",
                            path,
                            sizeof(address.sun_path) - 1));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  for (;;) {
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
      return {};
    }
    const int error = errno;
    if (error != EAGAIN && error != EINTR) {
      return connect_failure(error, path);
    }
    pollfd wake{wake_fd, POLLIN, 0};
    if (boot_time_now() >= deadline || ::poll(&wake, 1, kFullBacklogRetryMs) > 0) {
      return fail(Errc::kTimeout,
                  fmt::format("hvguardd at {} does not answer: it is too busy or stuck: "
                              "`systemctl status hvguardd`",
                              path));
    }
  }
}

Result<> send_request(int fd, const v1::CoreRequest& request, const std::string& path) {
  const std::string bytes = request.SerializeAsString();
  if (::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) {
    // hvguardd closes connections of strangers, and those above its cap, right after accepting.
    return fail(Errc::kUnavailable,
                fmt::format("hvguardd at {} closed the connection: only root and the "
                            "users of hvguard-gateway and hvguard-spool may read, a few at a time",
                            path));
  }
  return {};
}

}  // namespace

Result<CoreConnection> CoreConnection::open(const std::string& path,
                                            Want want,
                                            BootTime deadline,
                                            int wake_fd) {
  v1::CoreRequest request;
  if (want == Want::kOneFrame) {
    request.mutable_get_frame();
  } else {
    request.mutable_subscribe_frames();
  }
  request.set_protocol_version(kProtocolVersion);
  return ask(path, request, Contents::kAll, deadline, wake_fd);
}

Result<CoreConnection> CoreConnection::attach(const std::string& path,
                                              v1::AttachSpool report,
                                              BootTime deadline,
                                              int wake_fd) {
  v1::CoreRequest request;
  *request.mutable_attach_spool() = std::move(report);
  request.set_protocol_version(kProtocolVersion);
  return ask(path, request, Contents::kStatusAndIncidents, deadline, wake_fd);
}

Result<CoreConnection> CoreConnection::ask(const std::string& path,
                                           const v1::CoreRequest& request,
                                           Contents contents,
                                           BootTime deadline,
                                           int wake_fd) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) {
    return fail_errno(errno, "make a socket");
  }
  if (auto connected = connect_until(fd.get(), path, deadline, wake_fd); !connected) {
    return fail(std::move(connected.error()));
  }
  if (auto sent = send_request(fd.get(), request, path); !sent) {
    return fail(std::move(sent.error()));
  }
  return CoreConnection(std::move(fd), contents);
}

Result<std::optional<Frame>> CoreConnection::next(BootTime deadline, int wake_fd) {
  for (;;) {
    const auto ready = wait_for(fd_.get(), POLLIN, wake_fd, deadline);
    if (!ready) {
      return fail(ready.error());
    }
    if (*ready != Readiness::kReady) {
      return std::optional<Frame>();
    }
    const ssize_t size = ::recv(fd_.get(), buffer_.data(), buffer_.size(), 0);
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) {
      continue;
    }
    if (size < 0 && errno != ECONNRESET) {
      return fail_errno(errno, "read from hvguardd");
    }
    if (size <= 0) {
      return fail(Errc::kUnavailable,
                  "hvguardd closed the connection: it stopped, or refused this reader");
    }
    auto frame = assembler_.add({buffer_.data(), static_cast<std::size_t>(size)});
    if (!frame || *frame) {
      return frame;
    }
  }
}

}  // namespace hvguard::link
