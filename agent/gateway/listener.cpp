#include "gateway/listener.h"

#include <cerrno>
#include <cstring>
#include <string_view>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace hvguard::gateway {
namespace {

constexpr int kBacklog = 64;

Result<> make_directory(const std::string& path, std::optional<gid_t> gid) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos || slash == 0) {
    return {};
  }
  const std::string directory = path.substr(0, slash);
  if (::mkdir(directory.c_str(), 0750) != 0) {
    if (errno == EEXIST) {
      return {};
    }
    return fail_errno(errno,
                      fmt::format("make {} (systemd makes it for hvguard-gateway.service; by hand: "
                                  "`install -d -m 0755 {}`)",
                                  directory,
                                  directory.substr(0, directory.rfind('/'))));
  }
  // Without the right to give it away it stays ours alone, which is safe.
  if (gid && ::chown(directory.c_str(), static_cast<uid_t>(-1), *gid) != 0 && errno != EPERM) {
    return fail_errno(errno, fmt::format("give {} to its readers' group", directory));
  }
  return {};
}

Result<UniqueFd> take_lock(const std::string& path) {
  const std::string lock_path = path + ".lock";
  UniqueFd lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock.valid()) {
    return fail_errno(errno, fmt::format("open {}", lock_path));
  }
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return fail(Errc::kExhausted,
                fmt::format("another hvguard-gateway serves {}: stop it first", path));
  }
  return lock;
}

}  // namespace

Result<Listener> listen_on(const std::string& path, std::optional<gid_t> directory_gid) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path[0] != '/' || path.size() >= sizeof(address.sun_path)) {
    return fail(Errc::kInvalid,
                fmt::format("socket path '{}' must be absolute and shorter than {} bytes",
                            path,
                            sizeof(address.sun_path)));
  }
  std::memcpy(address.sun_path, path.data(), path.size());

  if (auto made = make_directory(path, directory_gid); !made) {
    return fail(std::move(made.error()));
  }
  auto lock = take_lock(path);
  if (!lock) {
    return fail(std::move(lock.error()));
  }
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) {
    return fail_errno(errno, "make a socket");
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return fail_errno(errno, fmt::format("remove the old {}", path));
  }
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return fail_errno(errno, fmt::format("bind {}", path));
  }
  if (::chmod(path.c_str(), 0666) != 0) {
    return fail_errno(errno, fmt::format("open {} to readers", path));
  }
  if (::listen(fd.get(), kBacklog) != 0) {
    return fail_errno(errno, fmt::format("listen on {}", path));
  }
  return Listener{std::move(fd), std::move(*lock)};
}

}  // namespace hvguard::gateway
