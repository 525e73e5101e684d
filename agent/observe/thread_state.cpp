#include "observe/thread_state.h"

#include <array>
#include <cerrno>
#include <utility>

#include <fcntl.h>

#include "observe/procfs.h"

namespace hvguard::observe {

Result<ThreadState> ThreadState::of_this_thread() {
  UniqueFd status(::open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC));
  if (!status.valid()) {
    return fail_errno(errno, "open /proc/thread-self/status");
  }
  return ThreadState(std::move(status));
}

bool ThreadState::uninterruptible() const {
  std::array<char, 4096> buffer{};
  const auto text = read_from_start(status_.get(), buffer);
  const auto status = text ? parse_task_status(*text) : std::nullopt;
  return status && status->state == 'D';
}

}  // namespace hvguard::observe
