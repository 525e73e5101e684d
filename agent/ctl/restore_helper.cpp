#include "ctl/restore_helper.h"

#include <array>
#include <cerrno>

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hvguard::ctl {

Result<> run_restore_helper(const std::string& path) {
  std::string program = path;
  std::string verb = "restore";
  std::array<char*, 3> arguments = {program.data(), verb.data(), nullptr};
  std::array<char*, 1> environment = {nullptr};  // root's own says nothing that it needs
  pid_t child = -1;
  const int error =
      ::posix_spawn(&child, path.c_str(), nullptr, nullptr, arguments.data(), environment.data());
  if (error == ENOENT) {
    return fail(Errc::kNotFound,
                fmt::format("{} is not there: install the package hvguard again", path));
  }
  if (error != 0) {
    return fail_errno(error, "start " + path);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) {
      return fail_errno(errno, "wait for " + path);
    }
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    return {};
  }
  return fail(
      Errc::kInternal,
      fmt::format("{} restore {}: its words above say which limits are left; run it again",
                  path,
                  WIFEXITED(status) ? fmt::format("ended with {}", WEXITSTATUS(status))
                                    : fmt::format("was killed by signal {}", WTERMSIG(status))));
}

}  // namespace hvguard::ctl
