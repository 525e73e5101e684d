// IncidentHub: who watches incidents, and what each has still to be told. No gRPC, no clock.
// The link thread publishes mirrors; reactors of any thread pull.
//
// There is one bounded log of changes for all watchers; a watcher is only a place in it. One that
// reads so slowly that its place falls out of the log gets a gap and a fresh snapshot, so slow
// watchers cost no memory. Snapshots share the incidents of the mirrors.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "base/result.h"
#include "gateway/watcher_slots.h"
#include "hvguard/v1/agent_service.pb.h"
#include "link/mirror.h"

namespace hvguard::gateway {

// What a watcher is told next.
struct IncidentEvent {
  enum class Kind { kSnapshot, kEndOfSnapshot, kChange, kGap };

  Kind kind = Kind::kSnapshot;
  link::SharedIncident incident;  // of kSnapshot and kChange
  std::uint64_t count = 0;        // kEndOfSnapshot: snapshots sent; kGap: changes lost
  std::uint64_t epoch = 0;
  std::uint64_t sequence = 0;
  std::string resume_token;  // empty: resuming here means a fresh snapshot
};

class IncidentHub {
 public:
  class Watch;
  // Called without locks, on the publishing thread: something may be there to pull.
  using Wake = std::function<void()>;

  // Changes kept for watchers; as many can be caught up with by resume token.
  static constexpr std::size_t kMaxLoggedChanges = 512;

  // instance: random; tells this hub's resume tokens from those of an earlier gateway.
  IncidentHub(WatcherSlots& slots, std::uint64_t instance);
  ~IncidentHub();

  void publish(const std::shared_ptr<const link::Mirror>& mirror);
  // Wakes everybody; pulls end from now on, and new watches are refused.
  void close();

  // The watch ends with its last reference. kExhausted: too many watchers; kUnavailable: nothing
  // was published yet, or closed; kInvalid: the filter is wrong.
  Result<std::shared_ptr<Watch>> watch(const v1::WatchIncidentsRequest& request, Wake wake);

 private:
  struct State;
  WatcherSlots& slots_;
  std::shared_ptr<State> state_;
};

// One watcher. pull() from one thread at a time.
class IncidentHub::Watch {
 public:
  Watch(std::shared_ptr<State> state, std::shared_ptr<void> slot, v1::IncidentFilter filter);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // The next event; none if there is nothing now: the Wake comes when there is.
  std::optional<IncidentEvent> pull();
  [[nodiscard]] bool closed() const;

 private:
  friend class IncidentHub;

  IncidentEvent stamped(IncidentEvent event);
  void begin_snapshot();
  std::optional<IncidentEvent> pull_snapshot();
  std::optional<IncidentEvent> pull_change();

  std::shared_ptr<State> state_;
  std::shared_ptr<void> slot_;
  const v1::IncidentFilter filter_;
  std::uint64_t next_change_ = 0;
  std::shared_ptr<const link::IncidentList> snapshot_;  // null once all of it was sent
  std::size_t snapshot_place_ = 0;
  std::uint64_t snapshot_sent_ = 0;
  std::uint64_t sequence_ = 0;
};

}  // namespace hvguard::gateway
