// hvguard-limits: reads and writes cgroup files for hvguardd, and puts them back when it is gone.
// Exit codes: 0 done; 1 not all is back, or it cannot run; 2 wrong options.
#include <cerrno>
#include <vector>

#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <CLI/CLI.hpp>

#include "base/helper_process.h"
#include "base/program_options.h"
#include "enforce/lease_journal.h"
#include "enforce/limits_protocol.h"
#include "enforce/restorer.h"

namespace hvguard::enforce {
namespace {

constexpr int kFailed = 1;

// The lock is held as long as a write of ours may still be under way, so that a restorer can wait
// for the last of them.
int serve(const RestorerOptions& options) {
  const auto folder = DirFd::open(options.runtime_folder);
  const auto mount = DirFd::open(options.cgroup_root);
  const auto lock = folder ? lock_journal(*folder, LOCK_SH | LOCK_NB)
                           : Result<UniqueFd>(fail(Error(folder.error())));
  if (!lock || !mount) {
    return kFailed;
  }
  std::vector<char> buffer(kMaxLimitsMessageBytes);
  for (;;) {
    const ssize_t size = ::recv(kHelperSocketFd, buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) {
      continue;
    }
    if (size <= 0) {
      return size == 0 ? 0 : kFailed;
    }
    const auto request =
        decode_limits_request(std::string_view(buffer.data(), static_cast<std::size_t>(size)));
    if (!request) {
      return kFailed;
    }
    const std::string answer = encode(answer_limits(*mount, *request));
    if (::send(kHelperSocketFd, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) {
      return kFailed;
    }
  }
}

}  // namespace
}  // namespace hvguard::enforce

int main(int argc, char** argv) {
  namespace enforce = hvguard::enforce;
  enforce::RestorerOptions options;
  double lease_seconds = hvguard::to_seconds(options.lease);
  double wait_seconds = 2;
  CLI::App app("hvguard-limits: puts back what hvguard has limited", "hvguard-limits");
  app.set_version_flag("--version", "hvguard-limits " HVGUARD_VERSION);
  app.add_option("--runtime-dir", options.runtime_folder, "Folder of limits.journal")
      ->capture_default_str();
  app.add_option("--cgroup-root", options.cgroup_root, "Where cgroup v2 is mounted")
      ->capture_default_str();
  app.add_option("--lease", lease_seconds, "watch: longest silence of hvguardd, in seconds")
      ->check(CLI::Range(0.01, 3600.0))
      ->capture_default_str();
  app.add_option("--wait", wait_seconds, "restore: for a hvguardd that is ending, in seconds")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  app.fallthrough();  // inherited by those that follow: options may stand after the subcommand
  const auto* restore = app.add_subcommand("restore", "Put all earlier values back, now");
  const auto* watch = app.add_subcommand("watch", "Do it when hvguardd is gone (it starts this)");
  app.add_subcommand("serve", "Read and write for hvguardd (it starts this)");
  app.require_subcommand(1);
  if (const auto farewell = hvguard::read_options(app, argc, argv)) {
    return hvguard::say(*farewell);
  }
  const auto seconds = [](double value) {
    return std::chrono::duration_cast<hvguard::Nanoseconds>(std::chrono::duration<double>(value));
  };
  options.lease = seconds(lease_seconds);
  if (restore->parsed()) {
    return enforce::restore_once(options, seconds(wait_seconds), enforce::RestoreOutput::kPlain);
  }
  // Its program must not have to be read from a disk that is stuck when it is needed. What cannot
  // be locked works all the same.
  static_cast<void>(::mlockall(MCL_CURRENT | MCL_FUTURE));
  return watch->parsed() ? enforce::watch_guard(options, hvguard::kHelperSocketFd)
                         : enforce::serve(options);
}
