#include "gateway/status_hub.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace hvguard::gateway {

void StatusHub::publish(std::shared_ptr<const link::Mirror> mirror, BootTime now) {
  {
    const std::lock_guard lock(state_->mutex);
    state_->latest = std::move(mirror);
    for (const auto& [watch, wake] : state_->watches) {
      watch->offer(state_->latest, now);
    }
  }
  on_time(now);
}

void StatusHub::on_time(BootTime now) {
  std::vector<std::shared_ptr<const Wake>> wakes;
  {
    const std::lock_guard lock(state_->mutex);
    for (const auto& [watch, wake] : state_->watches) {
      if (watch->woken_ || now < watch->wake_time()) {
        continue;
      }
      if (watch->pending_ == nullptr) {
        watch->pending_ = state_->latest;
      }
      watch->woken_ = true;
      wakes.push_back(wake);
    }
  }
  for (const auto& wake : wakes) {
    (*wake)();
  }
}

std::optional<BootTime> StatusHub::next_due() const {
  const std::lock_guard lock(state_->mutex);
  std::optional<BootTime> due;
  for (const auto& [watch, wake] : state_->watches) {
    if (!watch->woken_) {
      due = std::min(due.value_or(watch->wake_time()), watch->wake_time());
    }
  }
  return due;
}

void StatusHub::close() {
  std::vector<std::shared_ptr<const Wake>> wakes;
  {
    const std::lock_guard lock(state_->mutex);
    state_->closed = true;
    for (const auto& [watch, wake] : state_->watches) {
      wakes.push_back(wake);
    }
  }
  for (const auto& wake : wakes) {
    (*wake)();
  }
}

Result<std::shared_ptr<StatusHub::Watch>> StatusHub::watch(Nanoseconds interval, Wake wake) {
  std::shared_ptr<void> slot = slots_.take();
  if (slot == nullptr) {
    return fail(Errc::kExhausted,
                fmt::format("{} watches run already, which is the limit: end one, or raise "
                            "--max-watchers of hvguard-gateway",
                            slots_.limit()));
  }
  auto watch = std::make_shared<Watch>(state_, std::move(slot), interval);
  const std::lock_guard lock(state_->mutex);
  if (state_->closed || state_->latest == nullptr) {
    return fail(Errc::kUnavailable,
                state_->closed ? "hvguard-gateway is stopping: try again"
                               : "there are no data from hvguardd yet: try again");
  }
  watch->pending_ = state_->latest;
  watch->woken_ = true;  // the watcher pulls the first one by itself
  state_->watches.emplace(watch.get(), std::make_shared<const Wake>(std::move(wake)));
  return watch;
}

StatusHub::Watch::~Watch() {
  const std::lock_guard lock(state_->mutex);
  state_->watches.erase(this);
}

bool StatusHub::Watch::closed() const {
  const std::lock_guard lock(state_->mutex);
  return state_->closed;
}

std::optional<StatusEvent> StatusHub::Watch::pull(BootTime now) {
  const std::lock_guard lock(state_->mutex);
  woken_ = false;
  if (state_->closed || pending_ == nullptr || now < due_time_) {
    return std::nullopt;
  }
  due_time_ = now + interval_;
  return StatusEvent{std::exchange(pending_, nullptr), ++sequence_, std::exchange(dropped_, 0)};
}

void StatusHub::Watch::offer(const std::shared_ptr<const link::Mirror>& mirror, BootTime now) {
  if (pending_ != nullptr && now >= due_time_) {
    ++dropped_;  // it was due, and the watcher has not come for it
  }
  pending_ = mirror;
}

BootTime StatusHub::Watch::wake_time() const {
  return pending_ != nullptr ? due_time_
                             : due_time_ - interval_ + std::max(interval_, kRepeatAfter);
}

}  // namespace hvguard::gateway
