#include "observe/probe_client.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <fmt/format.h>

#include "base/text.h"

namespace hvguard::observe {
namespace {

// USER_HZ, in which /proc gives start times, is 100 on every architecture that Debian has.
constexpr Nanoseconds kClockTick = std::chrono::milliseconds(10);

// Starts the process with the socket as its descriptor 3 and nothing else of ours: all our
// descriptors are close-on-exec.
int spawn_probe(const std::string& path, ProbeKind kind, const std::string& root, int socket) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&actions, socket, kProbeSocketFd);
  sigset_t none;
  sigset_t all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::string name = "hvguard-probe";
  std::string kind_word = kind == ProbeKind::kBus ? "bus" : "process";
  std::string root_word = root;
  const std::array<char*, 4> arguments = {name.data(), kind_word.data(), root_word.data(), nullptr};
  std::array<char*, 1> environment = {nullptr};
  pid_t pid = 0;
  const int error = ::posix_spawn(
      &pid, path.c_str(), &actions, &attributes, arguments.data(), environment.data());
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

bool is_final(ProbeStage stage) {
  return stage == ProbeStage::kCommandLine || stage == ProbeStage::kBus;
}

std::string_view reading_after(const ProbeResult& result) {
  if (!result.cgroup_path) {
    return "cgroup";
  }
  return result.executable ? "cmdline" : "stat and exe";
}

}  // namespace

// Who gets the process: the client, if it still wants it when it is there, else the thread ends it.
struct ProbeClient::Spawn {
  std::mutex mutex;
  pid_t pid = 0;  // 0: not there yet
  int error = 0;
  bool abandoned = false;
};

ProbeClient::ProbeClient(ProbeKind kind, std::string probe_path, std::string root)
    : kind_(kind),
      probe_path_(std::move(probe_path)),
      root_(std::move(root)),
      buffer_(kMaxProbeMessageBytes + 1) {}

ProbeClient::~ProbeClient() {
  end_process();
  reap();
}

bool ProbeClient::request(Pid tgid, std::string unit) {
  if (queue_.size() >= kMaxProbeQueue) {
    return false;
  }
  queue_.push_back({next_id_++, tgid, std::move(unit)});
  return true;
}

void ProbeClient::cancel(Pid tgid) {
  std::erase_if(queue_, [&](const ProbeRequest& request) { return request.tgid == tgid; });
}

std::optional<BootTime> ProbeClient::next_deadline() const {
  return active_ ? std::optional(active_->deadline) : std::nullopt;
}

bool ProbeClient::start_process() {
  reap();
  if (probe_path_.empty()) {
    start_error_ = "no path to hvguard-probe is configured";
    return false;
  }
  if (undead_.size() >= kMaxUndeadProbes) {
    start_error_ = fmt::format("{} killed probes have not ended yet", undead_.size());
    return false;
  }
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    start_error_ =
        fmt::format("make a socket for hvguard-probe: {}", std::generic_category().message(errno));
    return false;
  }
  socket_.reset(ends[0]);
  UniqueFd theirs(ends[1]);
  ::fcntl(socket_.get(), F_SETFL, O_NONBLOCK);
  spawn_ = std::make_shared<Spawn>();
  auto run = [state = spawn_,
              path = probe_path_,
              kind = kind_,
              root = root_,
              socket = std::move(theirs)]() mutable {
    const int pid_or_error = spawn_probe(path, kind, root, socket.get());
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
    socket.reset();  // only now may the client see the end of the stream
  };
  try {
    std::thread(std::move(run)).detach();
  } catch (const std::system_error& error) {
    start_error_ = fmt::format("start hvguard-probe: {}", error.what());
    socket_.reset();
    spawn_.reset();
    return false;
  }
  return true;
}

void ProbeClient::end_process() {
  socket_.reset();
  const auto spawn = std::exchange(spawn_, nullptr);
  if (!spawn) {
    return;
  }
  const std::lock_guard lock(spawn->mutex);
  if (spawn->pid > 0) {
    ::kill(spawn->pid, SIGKILL);
    undead_.push_back(spawn->pid);
  } else if (spawn->error == 0) {
    spawn->abandoned = true;
  }
}

void ProbeClient::reap() {
  std::erase_if(undead_, [](pid_t pid) {
    int status = 0;
    return ::waitpid(pid, &status, WNOHANG) != 0;
  });
}

void ProbeClient::take(const ProbeAnswer& answer) {
  if (!active_ || answer.id != active_->id) {
    return;
  }
  auto& result = active_->result;
  result.gone |= answer.gone;
  if (!answer.error.empty() && result.error.empty()) {
    result.error = safe_text(answer.error, 256);
  }
  active_->final_stage_seen = is_final(answer.stage);
  if (!answer.error.empty() && answer.stage != ProbeStage::kProcess &&
      answer.stage != ProbeStage::kBus) {
    return;
  }
  switch (answer.stage) {
    case ProbeStage::kCgroup:
      result.cgroup_path = answer.text;
      break;
    case ProbeStage::kProcess:
      if (answer.number >= 0 && answer.number < (std::int64_t{1} << 50)) {
        result.start = BootTime{kClockTick * answer.number};
      }
      if (answer.error.empty()) {
        result.executable = answer.text;
        result.holds_kvm_vm = answer.flag;
      }
      break;
    case ProbeStage::kCommandLine:
      result.command_line = answer.text;
      break;
    case ProbeStage::kBus:
      result.kill_mode = answer.text;
      result.machine_name = answer.second;
      break;
  }
}

void ProbeClient::finish_active(std::string error,
                                bool timed_out,
                                std::vector<ProbeResult>& results) {
  if (!active_) {
    return;
  }
  if (!error.empty()) {
    active_->result.error = std::move(error);
  }
  active_->result.timed_out = timed_out;
  results.push_back(std::move(active_->result));
  active_.reset();
}

void ProbeClient::read_answers(std::vector<ProbeResult>& results) {
  while (socket_.valid()) {
    const ssize_t size = ::recv(socket_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) {
      continue;
    }
    if (size < 0 && errno == EAGAIN) {
      return;
    }
    if (size <= 0) {  // it has ended, or could not be started
      int error = 0;
      if (spawn_) {
        const std::lock_guard lock(spawn_->mutex);
        error = spawn_->error;
      }
      end_process();
      std::string why = "hvguard-probe ended before it answered";
      if (error != 0) {
        start_error_ =
            fmt::format("start {}: {}", probe_path_, std::generic_category().message(error));
        why = start_error_;
      }
      finish_active(std::move(why), false, results);
      return;
    }
    const auto answer =
        decode_answer(std::string_view(buffer_.data(), static_cast<std::size_t>(size)));
    if (!answer) {
      end_process();
      finish_active(answer.error().message, false, results);
      return;
    }
    start_error_.clear();
    take(*answer);
    if (active_ && active_->final_stage_seen) {
      finish_active({}, false, results);
    }
  }
}

void ProbeClient::send_next(BootTime now, Nanoseconds timeout, std::vector<ProbeResult>& results) {
  const ProbeRequest request = std::move(queue_.front());
  queue_.pop_front();
  active_.emplace();
  active_->id = request.id;
  active_->result.tgid = request.tgid;
  active_->deadline = now + timeout;
  if (!socket_.valid() && !start_process()) {
    finish_active(start_error_, false, results);
    return;
  }
  // If it has died meanwhile the send fails, and the next read finds the end of the stream and why;
  // if it does not take the message, the deadline ends it.
  const std::string message = encode(request);
  static_cast<void>(
      ::send(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
}

std::vector<ProbeResult> ProbeClient::run(BootTime now, Nanoseconds timeout) {
  std::vector<ProbeResult> results;
  reap();
  read_answers(results);
  if (active_ && now >= active_->deadline) {
    ++killed_count_;
    end_process();
    finish_active(
        fmt::format("reading {} of process {} took longer than {}; the probe was ended",
                    kind_ == ProbeKind::kBus ? "D-Bus properties" : reading_after(active_->result),
                    active_->result.tgid,
                    format_duration(timeout)),
        true,
        results);
  }
  while (!active_ && !queue_.empty()) {
    send_next(now, timeout, results);
  }
  return results;
}

}  // namespace hvguard::observe
