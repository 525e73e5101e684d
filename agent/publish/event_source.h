// Owned sd-event sources with a function each. The loop itself is in guard/event_loop.h; this is
// the part of it that publish/ needs. All functions: loop thread only.
#pragma once

#include <functional>
#include <memory>

#include <systemd/sd-event.h>

#include "base/result.h"
#include "base/time.h"

namespace hvguard::publish {

// Move-only; the source goes when it is destroyed, also from inside its own function.
class EventSource {
 public:
  using OnIo = std::function<void(std::uint32_t revents)>;
  using OnTime = std::function<void()>;

  EventSource() = default;

  // `events` as for epoll; the fd stays the caller's, who closes it after this object.
  static Result<EventSource> io(sd_event* event, int fd, std::uint32_t events, OnIo on_io);
  // Fires once `delay` from now (CLOCK_MONOTONIC), and again only after arm().
  static Result<EventSource> timer(sd_event* event, Nanoseconds delay, OnTime on_time);
  // The timer exists but does not fire before arm().
  static Result<EventSource> unarmed_timer(sd_event* event, OnTime on_time);

  void arm(Nanoseconds delay);
  void set_events(std::uint32_t events);  // 0: nothing but hang-up and error
  void set_enabled(bool enabled);
  // Dispatched only when nothing of ordinary priority waits: for what strangers can trigger without
  // end.
  void set_low_priority();
  [[nodiscard]] bool valid() const { return state_ != nullptr; }

 private:
  struct State : std::enable_shared_from_this<State> {
    sd_event_source* source = nullptr;
    OnIo on_io;
    OnTime on_time;

    ~State();
  };
  static int dispatch_io(sd_event_source* source, int fd, std::uint32_t revents, void* data);
  static int dispatch_time(sd_event_source* source, std::uint64_t usec, void* data);

  explicit EventSource(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace hvguard::publish
