// HelperProcess: one small program of ours that may hang where we must not, and the socket to it.
// A thread that is stuck in the kernel cannot be killed alone; a process can. One owner thread; no
// function waits: the program is started by a thread of its own, since posix_spawn waits until the
// executable has been read from what may be a dead disk.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/fd.h"

namespace hvguard {

// The helper's end of the socket, SOCK_SEQPACKET; all else but standard output and error is closed.
inline constexpr int kHelperSocketFd = 3;
// Killed helpers that the kernel has not let go of; with more of them no new one is started.
inline constexpr std::size_t kMaxUndeadHelpers = 4;

class HelperProcess {
 public:
  // Starts nothing yet. `arguments` without the program's own name. An empty path cannot start.
  HelperProcess(std::string path, std::vector<std::string> arguments);
  ~HelperProcess();  // kills it
  HelperProcess(const HelperProcess&) = delete;
  HelperProcess& operator=(const HelperProcess&) = delete;

  // False: error() says why. True: messages can be sent, though it may be found later that the
  // program cannot be run: then the stream ends.
  bool start();
  // SIGKILL, and the socket is closed.
  void kill();
  // The socket is closed, which tells the helper to end, and it is left to itself.
  void let_go();
  // To be called when the stream has ended: notes why, if the program could not be started.
  void ended();
  // Collects ended processes.
  void reap();

  [[nodiscard]] bool running() const { return socket_.valid(); }
  // Non-blocking; -1 if none runs.
  [[nodiscard]] int fd() const { return socket_.get(); }
  // Why the last start did not work; empty if it did, or may still.
  [[nodiscard]] const std::string& error() const { return error_; }
  void clear_error() { error_.clear(); }

 private:
  struct Spawn;  // shared with the thread that starts the process

  void forget(bool with_kill);

  std::string path_;
  std::vector<std::string> arguments_;
  std::shared_ptr<Spawn> spawn_;
  UniqueFd socket_;
  std::vector<pid_t> undead_;
  std::string error_;
};

}  // namespace hvguard
