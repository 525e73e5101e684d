// The loop of hvguardd: sd-event with every handler timed. Owns nothing but the loop itself and the
// signals; sources belong to those who made them (publish/event_source.h). Main thread only.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <systemd/sd-event.h>

#include "base/result.h"
#include "guard/handler_times.h"

namespace hvguard::guard {

class EventLoop {
 public:
  static Result<EventLoop> create();

  [[nodiscard]] sd_event* get() const { return event_.get(); }

  // Runs handlers one at a time until exit() is called; gives its code.
  Result<int> run();
  void exit(int code) { exit_code_ = code; }
  // After run(): one handler, if one is ready within the time.
  void run_once(Nanoseconds timeout);

  [[nodiscard]] const HandlerTimes& handler_times() const { return handler_times_; }

 private:
  struct Unref {
    void operator()(sd_event* event) const { sd_event_unref(event); }
  };
  explicit EventLoop(sd_event* event) : event_(event) {}

  std::unique_ptr<sd_event, Unref> event_;
  HandlerTimes handler_times_;
  std::optional<int> exit_code_;
};

// TERM, INT and HUP come through a signalfd on the loop, so no handler ever runs in the middle of
// something. Must be blocked before any thread starts, else a thread could take them.
Result<> block_loop_signals();
// `on_signal` gets the signal's number.
class SignalWatch {
 public:
  static Result<std::unique_ptr<SignalWatch>> watch(sd_event* event,
                                                    std::function<void(int)> on_signal);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  SignalWatch() = default;
  std::function<void(int)> on_signal_;
  std::vector<sd_event_source*> sources_;
};

}  // namespace hvguard::guard
