// StatusHub: who watches the status, and when each is due. No gRPC; the caller brings the time.
// The link thread publishes and calls on_time(); reactors of any thread pull. A watcher owes at
// most one status, the newest: what it was too slow for is counted.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "base/result.h"
#include "base/time.h"
#include "gateway/watcher_slots.h"
#include "link/mirror.h"

namespace hvguard::gateway {

struct StatusEvent {
  std::shared_ptr<const link::Mirror> mirror;
  std::uint64_t sequence = 0;
  std::uint64_t dropped_count = 0;  // since the event before
};

class StatusHub {
 public:
  class Watch;
  // Called without locks, on the link thread: something may be there to pull.
  using Wake = std::function<void()>;

  // With nothing new for this long the last status is sent again: its old observe_time shows that
  // the data are stale. Silence would not.
  static constexpr Nanoseconds kRepeatAfter = std::chrono::seconds(3);

  explicit StatusHub(WatcherSlots& slots) : slots_(slots), state_(std::make_shared<State>()) {}
  ~StatusHub() { close(); }

  void publish(std::shared_ptr<const link::Mirror> mirror, BootTime now);
  // Wakes those who are due now.
  void on_time(BootTime now);
  // When on_time() is needed next; none: not before the next publish().
  [[nodiscard]] std::optional<BootTime> next_due() const;
  void close();

  // kExhausted: too many watchers; kUnavailable: nothing was published yet, or closed.
  Result<std::shared_ptr<Watch>> watch(Nanoseconds interval, Wake wake);

 private:
  struct State {
    std::mutex mutex;
    std::shared_ptr<const link::Mirror> latest;
    std::map<Watch*, std::shared_ptr<const Wake>> watches;
    bool closed = false;
  };

  WatcherSlots& slots_;
  std::shared_ptr<State> state_;
};

// One watcher. pull() from one thread at a time.
class StatusHub::Watch {
 public:
  Watch(std::shared_ptr<State> state, std::shared_ptr<void> slot, Nanoseconds interval)
      : state_(std::move(state)), slot_(std::move(slot)), interval_(interval) {}
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // The newest status if one is due; else the Wake comes when one is.
  std::optional<StatusEvent> pull(BootTime now);
  [[nodiscard]] bool closed() const;

 private:
  friend class StatusHub;

  void offer(const std::shared_ptr<const link::Mirror>& mirror, BootTime now);
  [[nodiscard]] BootTime wake_time() const;

  std::shared_ptr<State> state_;
  std::shared_ptr<void> slot_;
  const Nanoseconds interval_;
  std::shared_ptr<const link::Mirror> pending_;
  bool woken_ = false;  // told of pending_, and has not pulled it yet
  BootTime due_time_;   // not before this
  std::uint64_t sequence_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace hvguard::gateway
