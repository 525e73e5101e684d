// What hvguard-limits does with the journal: `restore` once, `watch` until the guard is gone.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/time.h"

namespace hvguard::enforce {

struct RestorerOptions {
  std::string runtime_folder = "/run/hvguard";
  std::string cgroup_root = "/sys/fs/cgroup";
  Nanoseconds lease =
      std::chrono::seconds(60);  // of `watch`: longest silence of a guard that lives
};

enum class RestoreOutput { kPlain, kLog };  // standard output for people; log lines for journald

// Exit code: 0, all earlier values are back; 1, something is not, and was said. While hvguardd or a
// stuck helper of it holds the journal, values are put back all the same, and the journal is left
// to them.
[[nodiscard]] int restore_once(const RestorerOptions& options,
                               Nanoseconds wait_for_lock,
                               RestoreOutput output);

// Waits until the other end of `guard` is closed, or nothing came from it for the lease; then
// restores. Ignores the signals that stop a service, since the guard's end is when it is needed.
[[nodiscard]] int watch_guard(const RestorerOptions& options, int guard);

}  // namespace hvguard::enforce
