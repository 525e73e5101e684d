#include "publish/event_source.h"

#include <algorithm>
#include <ctime>
#include <utility>

namespace hvguard::publish {
namespace {

// How late a timer may fire, so that the kernel can join wake-ups.
constexpr std::uint64_t kAccuracyMicroseconds = 10'000;

std::uint64_t microseconds(Nanoseconds duration) {
  const auto count = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  return static_cast<std::uint64_t>(std::max<decltype(count)>(0, count));
}

}  // namespace

EventSource::State::~State() {
  sd_event_source_disable_unref(source);
}

// The function may destroy its own EventSource, so its captures are kept until it returns.
int EventSource::dispatch_io(sd_event_source* /*source*/,
                             int /*fd*/,
                             std::uint32_t revents,
                             void* data) {
  const std::shared_ptr<State> keep = static_cast<State*>(data)->shared_from_this();
  keep->on_io(revents);
  return 0;
}

int EventSource::dispatch_time(sd_event_source* /*source*/, std::uint64_t /*usec*/, void* data) {
  const std::shared_ptr<State> keep = static_cast<State*>(data)->shared_from_this();
  keep->on_time();
  return 0;
}

Result<EventSource> EventSource::io(sd_event* event, int fd, std::uint32_t events, OnIo on_io) {
  auto state = std::make_shared<State>();
  state->on_io = std::move(on_io);
  const int error = sd_event_add_io(event, &state->source, fd, events, dispatch_io, state.get());
  if (error < 0) {
    return fail_errno(-error, "watch a descriptor");
  }
  return EventSource(std::move(state));
}

Result<EventSource> EventSource::unarmed_timer(sd_event* event, OnTime on_time) {
  auto state = std::make_shared<State>();
  state->on_time = std::move(on_time);
  const int error = sd_event_add_time(
      event, &state->source, CLOCK_MONOTONIC, 0, kAccuracyMicroseconds, dispatch_time, state.get());
  if (error < 0) {
    return fail_errno(-error, "make a timer");
  }
  sd_event_source_set_enabled(state->source, SD_EVENT_OFF);
  return EventSource(std::move(state));
}

Result<EventSource> EventSource::timer(sd_event* event, Nanoseconds delay, OnTime on_time) {
  auto source = unarmed_timer(event, std::move(on_time));
  if (source) {
    source->arm(delay);
  }
  return source;
}

void EventSource::arm(Nanoseconds delay) {
  sd_event_source_set_time_relative(state_->source, microseconds(delay));
  sd_event_source_set_enabled(state_->source, SD_EVENT_ONESHOT);
}

void EventSource::set_events(std::uint32_t events) {
  sd_event_source_set_io_events(state_->source, events);
}

void EventSource::set_enabled(bool enabled) {
  sd_event_source_set_enabled(state_->source, enabled ? SD_EVENT_ON : SD_EVENT_OFF);
}

void EventSource::set_low_priority() {
  sd_event_source_set_priority(state_->source, SD_EVENT_PRIORITY_IDLE);
}

}  // namespace hvguard::publish
