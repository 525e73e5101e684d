// AdminDesk: hands requests to change something to hvguardd, one at a time, each on a connection of
// its own, on the desk's own thread, since gRPC's threads must not wait. Every request is answered
// within kAdminDeadline.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "base/fd.h"
#include "base/result.h"
#include "base/time.h"
#include "hvguard/v1/core_link.pb.h"

namespace hvguard::gateway {

// hvguardd answers within one turn of its loop; a guard that does not is stuck.
inline constexpr Nanoseconds kAdminDeadline = std::chrono::seconds(2);
inline constexpr std::size_t kMaxWaitingAdminCalls = 8;

class AdminDesk {
 public:
  // Called once for each request, on the desk's thread or on the caller's; must not block.
  using Answer = std::function<void(Result<v1::AdminReply>)>;

  explicit AdminDesk(std::string core_socket) : core_socket_(std::move(core_socket)) {}
  ~AdminDesk() { stop(); }

  Result<> start();
  // Answers all that wait with kUnavailable, and all that come later.
  void stop();
  // Any thread. kExhausted if too many wait; kUnavailable if hvguardd is not there, or had no time:
  // then nothing was done; kTimeout if it did not answer: then it may be done.
  void ask(v1::AdminCall call, Answer answer);

 private:
  struct Waiting {
    v1::AdminCall call;
    Answer answer;
    BootTime deadline;
  };

  void run();
  void serve(const Waiting& waiting);

  const std::string core_socket_;
  UniqueFd stop_event_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Waiting> waiting_;
  bool open_ = false;
};

}  // namespace hvguard::gateway
