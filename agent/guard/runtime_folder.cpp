#include "guard/runtime_folder.h"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"

namespace hvguard::guard {
namespace {

constexpr mode_t kFolderMode = 0755;

}  // namespace

Result<RuntimeFolder> RuntimeFolder::claim(const std::string& path) {
  if (::mkdir(path.c_str(), kFolderMode) == 0) {
    // The umask may have taken the gateway's way in. Failing shows there.
    static_cast<void>(!::chmod(path.c_str(), kFolderMode));
  } else if (errno != EEXIST) {
    return fail_errno(errno, "make the runtime folder " + path);
  }
  auto dir = DirFd::open(path);
  if (!dir) {
    return fail(std::move(dir).error().context("runtime folder"));
  }
  UniqueFd lock(::openat(
      dir->get(), "hvguardd.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644));
  if (!lock.valid()) {
    return fail_errno(errno, "runtime folder " + path + ": open hvguardd.lock");
  }
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return fail_errno(errno, "runtime folder " + path + ": lock hvguardd.lock");
    }
    std::array<char, 32> buffer{};
    const auto holder = read_from_start(lock.get(), buffer);
    return fail(Errc::kUnavailable,
                fmt::format("another hvguardd (pid {}) uses {}; stop it first, or give this one "
                            "another folder with --runtime-dir",
                            holder ? trimmed(*holder) : "unknown",
                            path));
  }
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(lock.get(), 0) != 0 ||
      ::pwrite(lock.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return fail_errno(errno, "runtime folder " + path + ": write hvguardd.lock");
  }
  return RuntimeFolder(*std::move(dir), std::move(lock), path);
}

}  // namespace hvguard::guard
