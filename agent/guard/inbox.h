// Inbox: how other threads hand work to the loop. Bounded: what does not fit is dropped and
// counted, and nobody ever waits. post() from any thread, drain() on the loop thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "base/fd.h"

namespace hvguard::guard {

class Inbox {
 public:
  using Item = std::function<void()>;
  // The sampler posts once or a few times a second; more waiting than this means the loop is stuck,
  // and old Snapshots are of no use then.
  static constexpr std::size_t kMaxItems = 32;

  static Result<std::unique_ptr<Inbox>> create();

  // False: full; the item was dropped.
  bool post(Item item);
  // Runs what waits. Items posted meanwhile wait for the next call.
  void drain();

  // Readable while something waits: for the loop.
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] std::uint64_t dropped_count() const;

 private:
  explicit Inbox(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
  mutable std::mutex mutex_;
  std::deque<Item> items_;           // guarded by mutex_
  std::uint64_t dropped_count_ = 0;  // guarded by mutex_
};

}  // namespace hvguard::guard
