#include "gateway/peer.h"

#include <cerrno>
#include <string>

#include <sys/socket.h>

namespace hvguard::gateway {
namespace {

constexpr std::size_t kMaxReasonBytes = 256;
constexpr std::size_t kMaxGroups = 65536;  // NGROUPS_MAX

// RFC 9113, 4.1: 24 bits of length, type, flags, stream.
std::string frame_header(std::size_t length, char type) {
  std::string header;
  header += static_cast<char>(length >> 16 & 0xff);
  header += static_cast<char>(length >> 8 & 0xff);
  header += static_cast<char>(length & 0xff);
  header += type;
  header.append(5, '\0');
  return header;
}

}  // namespace

Result<PeerCredentials> read_peer(int fd) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return fail_errno(errno, "read the peer's credentials");
  }
  PeerCredentials peer{credentials.uid, credentials.gid, credentials.pid, {}};
  peer.groups.resize(64);
  for (;;) {
    size = static_cast<socklen_t>(peer.groups.size() * sizeof(gid_t));
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer.groups.data(), &size) == 0) {
      peer.groups.resize(size / sizeof(gid_t));
      return peer;
    }
    // ERANGE: size says how much is needed.
    if (errno != ERANGE || size / sizeof(gid_t) > kMaxGroups) {
      return fail_errno(errno, "read the peer's groups");
    }
    peer.groups.resize(size / sizeof(gid_t));
  }
}

void send_farewell(int fd, Refusal refusal, std::string_view reason) {
  constexpr char kSettings = 4;
  constexpr char kGoAway = 7;
  reason = reason.substr(0, kMaxReasonBytes);
  std::string bytes = frame_header(0, kSettings) + frame_header(8 + reason.size(), kGoAway);
  bytes.append(7, '\0');  // last stream 0, then the error code in 4 bytes
  bytes += static_cast<char>(refusal);
  bytes += reason;
  [[maybe_unused]] const ssize_t sent =
      ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace hvguard::gateway
