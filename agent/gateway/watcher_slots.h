// WatcherSlots: how many watches may run at once, over both kinds. Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace hvguard::gateway {

class WatcherSlots {
 public:
  explicit WatcherSlots(std::uint32_t limit) : limit_(limit) {}

  // Held while the watch lives; null if all are taken. The slots must outlive it.
  [[nodiscard]] std::shared_ptr<void> take() {
    if (taken_.fetch_add(1) >= limit_) {
      taken_.fetch_sub(1);
      return nullptr;
    }
    return {this, [this](void*) { taken_.fetch_sub(1); }};
  }
  [[nodiscard]] std::uint32_t limit() const { return limit_; }

 private:
  const std::uint32_t limit_;
  std::atomic<std::uint32_t> taken_ = 0;
};

}  // namespace hvguard::gateway
