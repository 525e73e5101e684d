#include "gateway/acceptor.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <string>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace hvguard::gateway {
namespace {

constexpr int kLoopTimeoutMs = 1000;
// Accepts per turn of the loop, so that a flood does not keep it from noticing closed connections.
constexpr int kAcceptsPerTurn = 32;
// Pause after a failure that would come again at once: a listening fd that stays readable must not
// make the loop spin.
constexpr Nanoseconds kAcceptPause = std::chrono::milliseconds(100);

UniqueFd open_reserve() {
  return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

bool is_shortage(int sys_errno) {
  return sys_errno == EMFILE || sys_errno == ENFILE || sys_errno == ENOMEM || sys_errno == ENOBUFS;
}

}  // namespace

Acceptor::Acceptor(UniqueFd listener, AcceptorLimits limits, PeerPolicy policy, Handler handler)
    : listener_(std::move(listener)),
      limits_(limits),
      policy_(policy),
      handler_(std::move(handler)) {}

Result<> Acceptor::start() {
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  stop_event_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  reserve_ = open_reserve();
  if (!epoll_.valid() || !stop_event_.valid() || !reserve_.valid()) {
    return fail_errno(errno, "prepare the accept loop");
  }
  for (const int fd : {listener_.get(), stop_event_.get()}) {
    if (auto watched = watch_fd(fd, EPOLLIN); !watched) {
      return watched;
    }
  }
  progress_ = boot_time_now().since_boot.count();
  thread_ = std::thread([this] { run(); });
  return {};
}

void Acceptor::stop() {
  stopping_ = true;
  if (thread_.joinable()) {
    ::eventfd_write(stop_event_.get(), 1);
    thread_.join();
  }
}

void Acceptor::cut_connections() {
  for (const auto& [key, connection] : connections_) {
    ::shutdown(connection.duplicate.get(), SHUT_RDWR);
  }
}

AcceptorCounts Acceptor::counts() const {
  return {accepted_, denied_, over_limit_, out_of_fds_};
}

std::vector<pid_t> Acceptor::root_pids() const {
  std::set<pid_t> pids;
  const std::lock_guard lock(root_mutex_);
  for (const auto& [key, pid] : root_connections_) {
    pids.insert(pid);
  }
  return {pids.begin(), pids.end()};
}

Result<> Acceptor::watch_fd(int fd, std::uint32_t events) const {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return fail_errno(errno, "watch a descriptor");
  }
  return {};
}

void Acceptor::run() {
  std::array<epoll_event, 64> events{};
  while (!stopping_) {
    const int timeout = paused_ ? 20 : kLoopTimeoutMs;
    const int count =
        ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout);
    const BootTime now = boot_time_now();
    progress_ = now.since_boot.count();
    bool ready = false;
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == listener_.get()) {
        ready = true;
      } else if (fd != stop_event_.get()) {
        forget(fd);  // only hang-ups are reported for these
      }
    }
    // After the ends, so that what they freed can be used.
    resume_accepting(now);
    if (ready) {
      accept_ready();
    }
  }
}

void Acceptor::accept_ready() {
  for (int i = 0; i < kAcceptsPerTurn && !stopping_; ++i) {
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.valid()) {
      accept_one(std::move(fd));
      continue;
    }
    const int error = errno;
    if (error == EINTR || error == ECONNABORTED) {
      continue;
    }
    if (error == EAGAIN) {
      return;
    }
    if (is_shortage(error)) {
      ++out_of_fds_;
      log_limited(shortage_limit_,
                  Level::kError,
                  fmt::format("cannot accept a connection ({}): {} are open; raise LimitNOFILE= or "
                              "lower --max-connections",
                              fail_errno(error, "accept").value().message,
                              connections_.size()));
      if (shed_one()) {
        continue;
      }
    }
    pause_accepting();
    return;
  }
}

// Closes the oldest waiting connection, by way of the reserve: its peer gets an answer (no) instead
// of waiting for ever. False if there was still no descriptor, or nobody waited.
bool Acceptor::shed_one() {
  reserve_.reset();
  UniqueFd victim(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  const bool shed = victim.valid();
  if (shed) {
    send_farewell(
        victim.get(), Refusal::kBusy, "hvguard-gateway has no file descriptors left: try again");
  }
  victim.reset();
  reserve_ = open_reserve();
  return shed && reserve_.valid();
}

void Acceptor::accept_one(UniqueFd fd) {
  const auto peer = read_peer(fd.get());
  if (!peer) {
    refuse(std::move(fd), Refusal::kDenied, peer.error().message, denied_);
    return;
  }
  const auto role = role_of(*peer, policy_);
  if (!role) {
    refuse(std::move(fd),
           Refusal::kDenied,
           fmt::format("uid {} may not read from hvguard-gateway: only root and the members of the "
                       "viewer group may",
                       peer->uid),
           denied_);
    return;
  }
  if (const std::string reason = limit_reached(peer->uid); !reason.empty()) {
    refuse(std::move(fd), Refusal::kBusy, reason, over_limit_);
    return;
  }
  UniqueFd duplicate(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  const int key = duplicate.get();
  if (!duplicate.valid() || !watch_fd(key, 0)) {
    refuse(std::move(fd),
           Refusal::kBusy,
           "hvguard-gateway has no file descriptors left: try again",
           out_of_fds_);
    return;
  }
  ++accepted_;
  ++connections_by_uid_[peer->uid];
  strangers_count_ += peer->uid != 0 ? 1U : 0U;
  connections_.emplace(key, Connection{std::move(duplicate), peer->uid});
  if (peer->uid == 0) {
    const std::lock_guard lock(root_mutex_);
    root_connections_.emplace(key, peer->pid);
  }
  handler_(*role, std::move(fd));
}

void Acceptor::refuse(UniqueFd fd,
                      Refusal refusal,
                      std::string_view reason,
                      std::atomic<std::uint64_t>& count) {
  ++count;
  log_limited(refusal_limit_, Level::kWarning, fmt::format("connection refused: {}", reason));
  send_farewell(fd.get(), refusal, reason);
}

// Why no further connection of this user is taken; empty if one is.
std::string Acceptor::limit_reached(uid_t uid) const {
  const auto of_uid = connections_by_uid_.find(uid);
  if (of_uid != connections_by_uid_.end() && of_uid->second >= limits_.max_connections_per_uid) {
    return fmt::format(
        "uid {} has {} connections, which is the limit: close some, or raise "
        "--max-connections-per-uid of hvguard-gateway",
        uid,
        of_uid->second);
  }
  // Root is left out, so that nobody can lock the operator out.
  if (uid != 0 && strangers_count_ >= limits_.max_connections) {
    return fmt::format(
        "hvguard-gateway has {} connections, which is the limit: try again, or "
        "raise --max-connections",
        strangers_count_);
  }
  return {};
}

void Acceptor::forget(int duplicate) {
  const auto found = connections_.find(duplicate);
  if (found == connections_.end()) {
    return;
  }
  const uid_t uid = found->second.uid;
  // Closing alone would not end the reports while gRPC's descriptor of the same socket lives.
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, duplicate, nullptr);
  connections_.erase(found);
  if (uid == 0) {
    const std::lock_guard lock(root_mutex_);
    root_connections_.erase(duplicate);
  }
  strangers_count_ -= uid != 0 ? 1U : 0U;
  const auto of_uid = connections_by_uid_.find(uid);
  if (of_uid != connections_by_uid_.end() && --of_uid->second == 0) {
    connections_by_uid_.erase(of_uid);
  }
}

void Acceptor::pause_accepting() {
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener_.get(), nullptr) == 0) {
    paused_ = true;
    resume_time_ = boot_time_now() + kAcceptPause;
  }
}

void Acceptor::resume_accepting(BootTime now) {
  if (!paused_ || now < resume_time_) {
    return;
  }
  if (!reserve_.valid()) {
    reserve_ = open_reserve();
  }
  paused_ = !watch_fd(listener_.get(), EPOLLIN).has_value();
}

}  // namespace hvguard::gateway
