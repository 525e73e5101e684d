// Acceptor: our own accept loop. gRPC's listener dies for ever after one EMFILE (CVE-2023-4785 in
// Debian's 1.51.1) and never looks at SO_PEERCRED; this one does both, on its own thread, and hands
// good connections on. No gRPC here.
//
// It keeps a duplicate of each connection, only to see it end: that is how connections are counted.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "base/time.h"
#include "gateway/log.h"
#include "gateway/peer.h"
#include "gateway/roles.h"

namespace hvguard::gateway {

struct AcceptorLimits {
  std::uint32_t max_connections = 64;          // of all users but root
  std::uint32_t max_connections_per_uid = 16;  // root's are counted only here
};

// Since the start.
struct AcceptorCounts {
  std::uint64_t accepted = 0;
  std::uint64_t denied = 0;      // no role
  std::uint64_t over_limit = 0;  // beyond AcceptorLimits
  std::uint64_t out_of_fds = 0;  // EMFILE, ENFILE, ENOMEM, ENOBUFS
};

class Acceptor {
 public:
  // Takes the connection, a non-blocking stream socket; on the acceptor's thread, must not block.
  using Handler = std::function<void(Role, UniqueFd)>;

  Acceptor(UniqueFd listener, AcceptorLimits limits, PeerPolicy policy, Handler handler);
  ~Acceptor() { stop(); }

  Result<> start();
  void stop();
  // After stop(): ends every connection at its socket. gRPC waits without limit for a peer that
  // does not read; this is what makes it give up.
  void cut_connections();
  [[nodiscard]] AcceptorCounts counts() const;
  // Processes of root that are connected now, each once. Any thread.
  [[nodiscard]] std::vector<pid_t> root_pids() const;
  // When the thread last went round its loop: for the watchdog.
  [[nodiscard]] BootTime progress_time() const { return {Nanoseconds(progress_.load())}; }

 private:
  struct Connection {
    UniqueFd duplicate;
    uid_t uid = 0;
  };

  void run();
  void accept_ready();
  void accept_one(UniqueFd fd);
  bool shed_one();
  void refuse(UniqueFd fd,
              Refusal refusal,
              std::string_view reason,
              std::atomic<std::uint64_t>& count);
  [[nodiscard]] std::string limit_reached(uid_t uid) const;
  void forget(int duplicate);
  void pause_accepting();
  void resume_accepting(BootTime now);
  Result<> watch_fd(int fd, std::uint32_t events) const;

  UniqueFd listener_;
  const AcceptorLimits limits_;
  const PeerPolicy policy_;
  const Handler handler_;

  UniqueFd epoll_;
  UniqueFd stop_event_;
  UniqueFd reserve_;  // given up to accept and close a connection when there is no other fd left
  std::atomic<bool> stopping_ = false;
  std::atomic<Nanoseconds::rep> progress_ = 0;
  std::thread thread_;

  mutable std::mutex root_mutex_;
  std::unordered_map<int, pid_t> root_connections_;  // by duplicate; with root_mutex_

  // Of the acceptor's thread.
  std::unordered_map<int, Connection> connections_;  // by duplicate
  std::map<uid_t, std::uint32_t> connections_by_uid_;
  std::uint32_t strangers_count_ = 0;  // connections of all but root
  bool paused_ = false;
  BootTime resume_time_;
  RateLimit refusal_limit_{5, std::chrono::seconds(10)};
  RateLimit shortage_limit_{1, std::chrono::seconds(10)};

  std::atomic<std::uint64_t> accepted_ = 0;
  std::atomic<std::uint64_t> denied_ = 0;
  std::atomic<std::uint64_t> over_limit_ = 0;
  std::atomic<std::uint64_t> out_of_fds_ = 0;
};

}  // namespace hvguard::gateway
