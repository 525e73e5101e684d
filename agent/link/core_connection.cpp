#include "link/core_connection.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/text.h"

namespace hvguard::link {
namespace {

constexpr std::uint32_t kProtocolVersion = 1;
constexpr int kFullBacklogRetryMs = 20;
constexpr std::size_t kMaxErrorBytes = 1024;
constexpr std::size_t kMaxAdminRequestBytes = 4096;  // what hvguardd takes

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

Result<UniqueFd> connect_and_send(const std::string& path,
                                  const v1::CoreRequest& request,
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
  return fd;
}

// One packet, or the error that stands in its place.
Result<std::string> receive_packet(int fd, BootTime deadline, int wake_fd) {
  std::string buffer(kMaxPacketBytes + 1, '\0');
  for (;;) {
    const auto ready = wait_for(fd, POLLIN, wake_fd, deadline);
    if (!ready) {
      return fail(ready.error());
    }
    if (*ready == Readiness::kWoken) {
      return fail(Errc::kUnavailable,
                  "this program is stopping: the request may be done all the same");
    }
    if (*ready == Readiness::kTimedOut) {
      return fail(Errc::kTimeout,
                  "hvguardd did not answer in time: it may have done it all the same. Send it "
                  "again with the same request_id; `systemctl status hvguardd`");
    }
    const ssize_t size = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) {
      continue;
    }
    if (size <= 0) {
      return fail(Errc::kUnavailable,
                  "hvguardd closed the connection: `systemctl status hvguardd`");
    }
    buffer.resize(static_cast<std::size_t>(size));
    return buffer;
  }
}

// By the name that to_string(Errc) gives.
Errc errc_named(std::string_view name) {
  for (int i = 0; i < static_cast<int>(Errc::kInternal); ++i) {
    if (to_string(static_cast<Errc>(i)) == name) {
      return static_cast<Errc>(i);
    }
  }
  return Errc::kInternal;
}

}  // namespace

Result<v1::AdminReply> call_admin(const std::string& path,
                                  const v1::AdminCall& call,
                                  BootTime deadline,
                                  int wake_fd) {
  v1::CoreRequest request;
  request.set_protocol_version(kProtocolVersion);
  *request.mutable_admin() = call;
  if (request.ByteSizeLong() > kMaxAdminRequestBytes) {
    return fail(Errc::kInvalid,
                fmt::format("the request has more than {} bytes: shorten its reason and ids",
                            kMaxAdminRequestBytes));
  }
  const auto fd = connect_and_send(path, request, deadline, wake_fd);
  if (!fd) {
    return fail(fd.error());
  }
  const auto bytes = receive_packet(fd->get(), deadline, wake_fd);
  if (!bytes) {
    return fail(bytes.error());
  }
  v1::CorePacket packet;
  if (!packet.ParseFromString(*bytes) || !(packet.has_error() || packet.has_admin_reply())) {
    return fail(Errc::kInternal,
                "hvguardd answered with something else: are hvguardd and this program of the same "
                "version?");
  }
  if (packet.has_error()) {
    return fail(
        Errc::kUnavailable,
        fmt::format("hvguardd refused: {}", safe_text(packet.error().message(), kMaxErrorBytes)));
  }
  v1::AdminReply& reply = *packet.mutable_admin_reply();
  if (reply.has_error()) {
    return fail(errc_named(reply.error().code()), reply.error().message());
  }
  return std::move(reply);
}

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
  auto fd = connect_and_send(path, request, deadline, wake_fd);
  if (!fd) {
    return fail(std::move(fd.error()));
  }
  return CoreConnection(*std::move(fd), contents);
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
