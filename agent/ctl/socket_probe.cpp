#include "ctl/socket_probe.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/text.h"

namespace hvguard::ctl {
namespace {

constexpr int kListenMs = 300;
constexpr std::size_t kHeaderBytes = 9;  // RFC 9113, 4.1
constexpr char kGoAway = 7;
constexpr std::uint32_t kInadequateSecurity = 0xc;
constexpr std::size_t kMaxReasonBytes = 300;

std::size_t byte_at(std::string_view bytes, std::size_t place) {
  return static_cast<unsigned char>(bytes[place]);
}

Error of_connect(int sys_errno, const std::string& path) {
  if (sys_errno == ENOENT || sys_errno == ECONNREFUSED || sys_errno == ENOTDIR) {
    return {Errc::kUnavailable,
            sys_errno,
            fmt::format("cannot reach hvguard-gateway at {}: {}: is it running? `systemctl status "
                        "hvguard-gateway`; as root, `hvguardctl --direct …` asks hvguardd itself",
                        path,
                        sys_errno == ECONNREFUSED ? "nobody listens" : "no such socket")};
  }
  if (sys_errno == EACCES || sys_errno == EPERM) {
    return {Errc::kDenied,
            sys_errno,
            fmt::format("cannot reach hvguard-gateway at {}: permission denied: use sudo, or let "
                        "root add you to the group of its readers (`usermod -aG hvguard USER`, "
                        "then log in again)",
                        path)};
  }
  return std::move(
      fail_errno(sys_errno, fmt::format("cannot reach hvguard-gateway at {}", path)).value());
}

// What the server says of itself right after the connect.
std::string first_words(int fd) {
  std::string words;
  std::array<char, 2048> buffer{};
  pollfd readable{fd, POLLIN, 0};
  while (words.size() < buffer.size() && ::poll(&readable, 1, kListenMs) > 0) {
    const ssize_t size = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size <= 0) {
      break;
    }
    words.append(buffer.data(), static_cast<std::size_t>(size));
  }
  return words;
}

}  // namespace

std::optional<GoAway> find_goaway(std::string_view bytes) {
  while (bytes.size() >= kHeaderBytes) {
    const std::size_t length = byte_at(bytes, 0) << 16 | byte_at(bytes, 1) << 8 | byte_at(bytes, 2);
    const char type = bytes[3];
    const std::string_view payload = bytes.substr(kHeaderBytes).substr(0, length);
    if (payload.size() < length) {
      return std::nullopt;
    }
    if (type == kGoAway && length > 8) {
      return GoAway{static_cast<std::uint32_t>(byte_at(payload, 7)),
                    safe_text(payload.substr(8), kMaxReasonBytes)};
    }
    bytes.remove_prefix(kHeaderBytes + length);
  }
  return std::nullopt;
}

Error explain_unreachable(const std::string& path, Error otherwise) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return {Errc::kInvalid, 0, fmt::format("socket path '{}' is empty or too long", path)};
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) {
    return otherwise;
  }
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return errno == EAGAIN ? otherwise : of_connect(errno, path);
  }
  if (const auto goaway = find_goaway(first_words(fd.get()))) {
    return {goaway->error_code == kInadequateSecurity ? Errc::kDenied : Errc::kExhausted,
            0,
            fmt::format("hvguard-gateway at {} turned us away: {}", path, goaway->reason)};
  }
  return otherwise;
}

}  // namespace hvguard::ctl
