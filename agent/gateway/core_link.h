// CoreLink: the thread that keeps the connection to hvguardd's core.sock and turns its frames into
// mirrors. Reconnects with back-off; a guard that comes and goes is normal.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "base/fd.h"
#include "base/result.h"
#include "base/time.h"
#include "gateway/log.h"
#include "link/core_connection.h"
#include "link/mirror.h"

namespace hvguard::gateway {

// Older data than this are stale (proto/hvguard/v1/agent_service.proto).
inline constexpr Nanoseconds kStaleAfter = std::chrono::seconds(3);

class CoreLink {
 public:
  // All called on the link's thread; none may block.
  struct Events {
    std::function<void(const std::shared_ptr<const link::Mirror>&, BootTime)> on_mirror;
    std::function<void(BootTime)> on_time;              // at least once a second
    std::function<std::optional<BootTime>()> next_due;  // when on_time is wanted sooner
    std::function<void(bool fresh)> on_freshness;       // when it changes; first value is false
  };

  // The slot must outlive the link.
  CoreLink(std::string path, link::MirrorSlot& slot, Events events);
  ~CoreLink() { stop(); }

  Result<> start();
  void stop();
  // When the thread last went round its loop: for the watchdog.
  [[nodiscard]] BootTime progress_time() const { return {Nanoseconds(progress_.load())}; }

 private:
  void run();
  void read_frames(link::CoreConnection& connection);
  void take(link::Frame&& frame);
  void housekeeping(BootTime now);
  void wait_until(BootTime deadline);
  [[nodiscard]] BootTime next_wake(BootTime now) const;
  void report_down(const std::string& why);

  const std::string path_;
  link::MirrorSlot& slot_;
  const Events events_;
  UniqueFd stop_event_;
  std::atomic<bool> stopping_ = false;
  std::atomic<Nanoseconds::rep> progress_ = 0;
  std::thread thread_;

  // Of the link's thread.
  std::shared_ptr<const link::Mirror> mirror_;
  BootTime fresh_time_;
  bool fresh_ = false;
  bool connected_once_ = false;
  std::string reported_error_;
  std::uint64_t trimmed_ = 0;
  RateLimit loss_limit_{3, std::chrono::seconds(60)};
};

}  // namespace hvguard::gateway
