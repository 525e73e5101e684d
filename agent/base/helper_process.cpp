#include "base/helper_process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

namespace hvguard {
namespace {

std::string name_of(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

// Starts the process with the socket as its descriptor 3 and nothing else of ours: all our
// descriptors are close-on-exec. Its PID, or minus errno.
int spawn(const std::string& path, const std::vector<std::string>& arguments, int socket) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&actions, socket, kHelperSocketFd);
  sigset_t none;
  sigset_t all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<std::string> words = {name_of(path)};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) {
    pointers.push_back(word.data());
  }
  pointers.push_back(nullptr);
  std::array<char*, 1> environment = {nullptr};
  pid_t pid = 0;
  const int error =
      ::posix_spawn(&pid, path.c_str(), &actions, &attributes, pointers.data(), environment.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error != 0 ? -error : pid;
}

void kill_and_wait(pid_t pid) {
  ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

// Who gets the process: the owner, if it still wants it when it is there, else the thread ends it.
struct HelperProcess::Spawn {
  std::mutex mutex;
  pid_t pid = 0;  // 0: not there yet
  int error = 0;
  bool abandoned = false;
};

HelperProcess::HelperProcess(std::string path, std::vector<std::string> arguments)
    : path_(std::move(path)), arguments_(std::move(arguments)) {}

HelperProcess::~HelperProcess() {
  kill();
  reap();
}

bool HelperProcess::start() {
  reap();
  if (path_.empty()) {
    error_ = "no path to the helper program is configured";
    return false;
  }
  if (undead_.size() >= kMaxUndeadHelpers) {
    error_ =
        fmt::format("{} killed processes of {} have not ended yet", undead_.size(), name_of(path_));
    return false;
  }
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    error_ = fmt::format(
        "make a socket for {}: {}", name_of(path_), std::generic_category().message(errno));
    return false;
  }
  socket_.reset(ends[0]);
  UniqueFd theirs(ends[1]);
  ::fcntl(socket_.get(), F_SETFL, O_NONBLOCK);
  spawn_ = std::make_shared<Spawn>();
  auto run =
      [state = spawn_, path = path_, arguments = arguments_, socket = std::move(theirs)]() mutable {
        const int pid_or_error = spawn(path, arguments, socket.get());
        bool abandoned = false;
        {
          const std::lock_guard lock(state->mutex);
          state->pid = std::max(pid_or_error, 0);
          state->error = std::max(-pid_or_error, 0);
          abandoned = state->abandoned;
        }
        if (abandoned && pid_or_error > 0) {
          kill_and_wait(pid_or_error);
        }
        socket.reset();  // only now may the owner see the end of the stream
      };
  try {
    std::thread(std::move(run)).detach();
  } catch (const std::system_error& error) {
    error_ = fmt::format("start {}: {}", name_of(path_), error.what());
    socket_.reset();
    spawn_.reset();
    return false;
  }
  return true;
}

void HelperProcess::forget(bool with_kill) {
  socket_.reset();
  const auto spawn = std::exchange(spawn_, nullptr);
  if (!spawn) {
    return;
  }
  const std::lock_guard lock(spawn->mutex);
  if (spawn->pid > 0) {
    if (with_kill) {
      ::kill(spawn->pid, SIGKILL);
    }
    undead_.push_back(spawn->pid);
  } else if (spawn->error == 0) {
    spawn->abandoned = with_kill;
  }
}

void HelperProcess::kill() {
  forget(true);
}

void HelperProcess::let_go() {
  forget(false);
}

void HelperProcess::ended() {
  int error = 0;
  if (spawn_) {
    const std::lock_guard lock(spawn_->mutex);
    error = spawn_->error;
  }
  kill();
  if (error != 0) {
    error_ = fmt::format("start {}: {}", path_, std::generic_category().message(error));
  }
}

void HelperProcess::reap() {
  std::erase_if(undead_, [](pid_t pid) {
    int status = 0;
    return ::waitpid(pid, &status, WNOHANG) != 0;
  });
}

}  // namespace hvguard
