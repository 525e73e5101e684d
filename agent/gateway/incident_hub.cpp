#include "gateway/incident_hub.h"

#include <deque>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/parse.h"
#include "link/queries.h"

namespace hvguard::gateway {
namespace {

struct Change {
  link::SharedIncident before;  // null if it is new
  link::SharedIncident after;
  std::uint64_t epoch = 0;
};

std::string make_token(std::uint64_t instance, std::uint64_t next_change) {
  return fmt::format("{:016x}.{}", instance, next_change);
}

// The place in the log that a token means; none if it is not of this instance.
std::optional<std::uint64_t> read_token(std::uint64_t instance, std::string_view token) {
  const auto of = parse_number<std::uint64_t>(next_field(token, '.'), 16);
  return of == instance ? parse_number<std::uint64_t>(token) : std::nullopt;
}

}  // namespace

// Guarded by the mutex. Changes are numbered from 0 over the hub's life; log holds those from
// first_change on.
struct IncidentHub::State {
  explicit State(std::uint64_t of_instance) : instance(of_instance) {}

  [[nodiscard]] std::uint64_t end_change() const { return first_change + log.size(); }
  [[nodiscard]] std::vector<std::shared_ptr<const Wake>> all_wakes() const;
  bool take_over(const std::shared_ptr<const link::Mirror>& next);

  const std::uint64_t instance;
  std::mutex mutex;
  std::shared_ptr<const link::Mirror> mirror;  // the latest
  std::deque<Change> log;
  std::uint64_t first_change = 0;
  std::map<const Watch*, std::shared_ptr<const Wake>> watches;
  bool closed = false;
};

std::vector<std::shared_ptr<const IncidentHub::Wake>> IncidentHub::State::all_wakes() const {
  std::vector<std::shared_ptr<const Wake>> wakes;
  wakes.reserve(watches.size());
  for (const auto& [watch, wake] : watches) {
    wakes.push_back(wake);
  }
  return wakes;
}

// Logs what differs from the mirror before; true if anything does.
bool IncidentHub::State::take_over(const std::shared_ptr<const link::Mirror>& next) {
  const auto previous = std::exchange(mirror, next);
  if (previous == nullptr) {
    return false;
  }
  const std::uint64_t end_before = end_change();
  // Oldest first: lists are newest first.
  for (auto it = next->incidents->rbegin(); it != next->incidents->rend(); ++it) {
    const auto old = previous->incident_by_id.find((*it)->incident_id());
    const link::SharedIncident before =
        old == previous->incident_by_id.end() ? nullptr : (*previous->incidents)[old->second];
    if (before != *it) {
      log.push_back({before, *it, next->epoch});
    }
  }
  while (log.size() > kMaxLoggedChanges) {
    log.pop_front();
    ++first_change;
  }
  // A resolved incident may be forgotten silently. An open one that is no longer there (hvguardd
  // lost its state) has no change to tell of it: everybody starts again from a snapshot.
  std::uint64_t vanished = 0;
  for (const link::SharedIncident& old : *previous->incidents) {
    if (old->state() == v1::Incident::STATE_OPEN &&
        !next->incident_by_id.contains(old->incident_id())) {
      ++vanished;
    }
  }
  if (vanished > 0) {
    first_change = end_change() + vanished;
    log.clear();
  }
  return end_change() != end_before;
}

IncidentHub::IncidentHub(WatcherSlots& slots, std::uint64_t instance)
    : slots_(slots), state_(std::make_shared<State>(instance)) {}

IncidentHub::~IncidentHub() {
  close();
}

void IncidentHub::publish(const std::shared_ptr<const link::Mirror>& mirror) {
  std::vector<std::shared_ptr<const Wake>> wakes;
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->take_over(mirror)) {
      wakes = state_->all_wakes();
    }
  }
  for (const auto& wake : wakes) {
    (*wake)();
  }
}

void IncidentHub::close() {
  std::vector<std::shared_ptr<const Wake>> wakes;
  {
    const std::lock_guard lock(state_->mutex);
    state_->closed = true;
    wakes = state_->all_wakes();
  }
  for (const auto& wake : wakes) {
    (*wake)();
  }
}

Result<std::shared_ptr<IncidentHub::Watch>> IncidentHub::watch(
    const v1::WatchIncidentsRequest& request, Wake wake) {
  if (auto checked = link::check(request.filter()); !checked) {
    return fail(std::move(checked.error()));
  }
  std::shared_ptr<void> slot = slots_.take();
  if (slot == nullptr) {
    return fail(Errc::kExhausted,
                fmt::format("{} watches run already, which is the limit: end one, or raise "
                            "--max-watchers of hvguard-gateway",
                            slots_.limit()));
  }
  auto watch = std::make_shared<Watch>(state_, std::move(slot), request.filter());
  const std::lock_guard lock(state_->mutex);
  if (state_->closed || state_->mirror == nullptr) {
    return fail(Errc::kUnavailable,
                state_->closed ? "hvguard-gateway is stopping: try again"
                               : "there are no data from hvguardd yet: try again");
  }
  const auto place = read_token(state_->instance, request.resume_token());
  if (place && *place >= state_->first_change && *place <= state_->end_change()) {
    watch->next_change_ = *place;
    watch->snapshot_ = std::make_shared<const link::IncidentList>();
  } else {
    watch->begin_snapshot();
  }
  state_->watches.emplace(watch.get(), std::make_shared<const Wake>(std::move(wake)));
  return watch;
}

IncidentHub::Watch::Watch(std::shared_ptr<State> state,
                          std::shared_ptr<void> slot,
                          v1::IncidentFilter filter)
    : state_(std::move(state)), slot_(std::move(slot)), filter_(std::move(filter)) {}

IncidentHub::Watch::~Watch() {
  const std::lock_guard lock(state_->mutex);
  state_->watches.erase(this);
}

bool IncidentHub::Watch::closed() const {
  const std::lock_guard lock(state_->mutex);
  return state_->closed;
}

std::optional<IncidentEvent> IncidentHub::Watch::pull() {
  const std::lock_guard lock(state_->mutex);
  if (state_->closed) {
    return std::nullopt;
  }
  if (next_change_ < state_->first_change) {
    IncidentEvent gap;
    gap.kind = IncidentEvent::Kind::kGap;
    gap.count = state_->first_change - next_change_;
    begin_snapshot();
    return stamped(std::move(gap));
  }
  return snapshot_ != nullptr ? pull_snapshot() : pull_change();
}

IncidentEvent IncidentHub::Watch::stamped(IncidentEvent event) {
  if (event.kind != IncidentEvent::Kind::kChange) {
    event.epoch = state_->mirror->epoch;
  }
  event.sequence = ++sequence_;
  if (snapshot_ == nullptr) {
    event.resume_token = make_token(state_->instance, next_change_);
  }
  return event;
}

void IncidentHub::Watch::begin_snapshot() {
  snapshot_ = state_->mirror->incidents;
  snapshot_place_ = 0;
  snapshot_sent_ = 0;
  next_change_ = state_->end_change();
}

std::optional<IncidentEvent> IncidentHub::Watch::pull_snapshot() {
  IncidentEvent event;
  while (snapshot_place_ < snapshot_->size()) {
    const link::SharedIncident& incident = (*snapshot_)[snapshot_place_++];
    if (link::fits(filter_, *incident)) {
      ++snapshot_sent_;
      event.incident = incident;
      return stamped(std::move(event));
    }
  }
  snapshot_ = nullptr;
  event.kind = IncidentEvent::Kind::kEndOfSnapshot;
  event.count = snapshot_sent_;
  return stamped(std::move(event));
}

std::optional<IncidentEvent> IncidentHub::Watch::pull_change() {
  while (next_change_ < state_->end_change()) {
    const Change& change = state_->log[next_change_++ - state_->first_change];
    // One that fitted and no longer does is told too, or the watcher would believe in it for ever.
    if (link::fits(filter_, *change.after) ||
        (change.before != nullptr && link::fits(filter_, *change.before))) {
      IncidentEvent event;
      event.kind = IncidentEvent::Kind::kChange;
      event.incident = change.after;
      event.epoch = change.epoch;
      return stamped(std::move(event));
    }
  }
  return std::nullopt;
}

}  // namespace hvguard::gateway
