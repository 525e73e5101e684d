// Whether a thread of this process is in uninterruptible sleep: then no signal ends it, SIGABRT and
// SIGKILL included, and a restart would only leave the host unwatched. Made on the thread in
// question, asked from any other.
#pragma once

#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace hvguard::observe {

class ThreadState {
 public:
  // Of the calling thread. Keeps /proc/thread-self/status open.
  static Result<ThreadState> of_this_thread();

  // State D, killable waits included (fs/proc/array.c, task_state_array). False also if the thread
  // has ended. Reading `status` takes no lock that the thread could hold while it sleeps
  // (`stat` does).
  [[nodiscard]] bool uninterruptible() const;

 private:
  explicit ThreadState(UniqueFd status) : status_(std::move(status)) {}
  UniqueFd status_;
};

}  // namespace hvguard::observe
