#include "guard/event_loop.h"

#include <array>
#include <cerrno>
#include <csignal>

#include <pthread.h>
#include <sys/signalfd.h>

namespace hvguard::guard {
namespace {

constexpr std::array kLoopSignals = {SIGTERM, SIGINT, SIGHUP};

}  // namespace

Result<EventLoop> EventLoop::create() {
  sd_event* event = nullptr;
  const int error = sd_event_new(&event);
  if (error < 0) {
    return fail_errno(-error, "make the event loop");
  }
  return EventLoop(event);
}

Result<int> EventLoop::run() {
  while (!exit_code_) {
    int state = sd_event_prepare(event_.get());
    if (state == 0) {
      state = sd_event_wait(event_.get(), UINT64_MAX);
    }
    if (state > 0) {
      const BootTime before = boot_time_now();
      state = sd_event_dispatch(event_.get());  // exactly one handler
      handler_times_.add(boot_time_now() - before);
    }
    if (state < 0 && state != -EINTR) {
      return fail_errno(-state, "event loop");
    }
  }
  return *exit_code_;
}

void EventLoop::run_once(Nanoseconds timeout) {
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(timeout);
  static_cast<void>(sd_event_run(event_.get(), static_cast<std::uint64_t>(microseconds.count())));
}

Result<> block_loop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : kLoopSignals) {
    sigaddset(&signals, signal);
  }
  const int error = ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  if (error != 0) {
    return fail_errno(error, "block signals");
  }
  return {};
}

Result<std::unique_ptr<SignalWatch>> SignalWatch::watch(sd_event* event,
                                                        std::function<void(int)> on_signal) {
  std::unique_ptr<SignalWatch> watch(new SignalWatch());
  watch->on_signal_ = std::move(on_signal);
  for (const int signal : kLoopSignals) {
    sd_event_source* source = nullptr;
    const int error = sd_event_add_signal(
        event,
        &source,
        signal,
        [](sd_event_source*, const signalfd_siginfo* info, void* data) {
          static_cast<SignalWatch*>(data)->on_signal_(static_cast<int>(info->ssi_signo));
          return 0;
        },
        watch.get());
    if (error < 0) {
      return fail_errno(-error, "watch a signal");
    }
    // Before all else, so that a busy loop can still be stopped.
    sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IMPORTANT);
    watch->sources_.push_back(source);
  }
  return watch;
}

SignalWatch::~SignalWatch() {
  for (sd_event_source* const source : sources_) {
    sd_event_source_disable_unref(source);
  }
}

}  // namespace hvguard::guard
