// Incident book: gives Findings a life (open, updated, resolved), with asymmetric smoothing: quick
// to open, slow to close, slower after a flap. Pure: all times come from the caller's Snapshot.
// Owned by the Pipeline, on the loop thread.
//
// Rules
// - Identity is (kind, subject.key). A Finding of an unknown identity opens an incident at once.
// - An incident resolves after its Finding has been absent for resolve_after, doubled per flap up
// to
//   resolve_after_max. resolve_time is the first tick without the Finding: when the trouble ended,
//   not when we were sure of it.
// - A Finding that returns within flap_window of that moment reopens the same incident.
// - While a kind is held (its inputs are blind) nothing of it changes, and blind time is not
// absence.
// - The revision grows only if something visible changed: severity, summary, label, evidence.
// - At most max_open are open. The last eighth of the places is only for critical Findings, and
//   the eighth before that not for info: what matters most opens last. What finds no place is
//   counted, once per tick.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "model/config.h"
#include "model/incident.h"

namespace hvguard {

// Indexed by IncidentKind: true while nothing can be said about that kind, since its inputs are
// blind.
using HeldKinds = std::array<bool, kIncidentKindCount>;

class IncidentBook {
 public:
  explicit IncidentBook(const IncidentBookConfig& config) : config_(config) {}

  // One tick. Findings with the same identity as an earlier one in the list are ignored.
  [[nodiscard]] std::vector<IncidentChange> update(BootTime now,
                                                   const BootId& boot_id,
                                                   std::vector<Finding> findings,
                                                   const HeldKinds& held);

  // decide/ chose something for an open incident. None if it is not open; the time is then
  // nobody's.
  [[nodiscard]] std::optional<IncidentChange> decided(const std::string& id, BootTime time);

  // A person knows of an incident, open or remembered. None if there is no such incident.
  [[nodiscard]] std::optional<IncidentChange> acknowledge(const std::string& id,
                                                          Acknowledgement acknowledgement);

  // Incidents of an earlier run of the daemon. Open ones stay open for at least `grace` of
  // unheld ticks without a Finding, then resolve as usual. Those of another boot are forgotten at
  // the first update(), since their clock means nothing any more.
  void restore(std::vector<Incident> incidents, Nanoseconds grace);

  void set_config(const IncidentBookConfig& config) { config_ = config; }

  // Open ones by opening order, then the resolved ones still remembered, newest first.
  [[nodiscard]] std::vector<Incident> incidents() const;
  [[nodiscard]] std::size_t open_count() const { return open_.size(); }
  [[nodiscard]] std::uint64_t dropped_finding_count() const { return dropped_finding_count_; }

 private:
  using Key = std::pair<IncidentKind, std::string>;

  struct Open {
    Incident incident;
    std::uint64_t order = 0;
    std::optional<BootTime> absent_since;
    Nanoseconds absent_time{0};  // without the ticks in which the kind was held
    Nanoseconds grace{0};        // left from a restore
  };

  void settle_restored(const BootId& boot_id);
  [[nodiscard]] bool has_place_for(Severity severity) const;
  [[nodiscard]] std::string next_id(BootTime now, const BootId& boot_id);
  [[nodiscard]] std::optional<Incident> take_flapping(const Key& key, BootTime now);
  [[nodiscard]] std::optional<IncidentChange> open(Finding finding,
                                                   BootTime now,
                                                   const BootId& boot_id);
  [[nodiscard]] std::optional<IncidentChange> open_or_update(Finding finding,
                                                             BootTime now,
                                                             const BootId& boot_id);
  void remember_resolved(Incident incident);

  IncidentBookConfig config_;
  std::map<Key, Open> open_;
  std::vector<Incident> resolved_;  // oldest first
  std::vector<std::pair<Incident, Nanoseconds>> restored_;
  std::optional<BootTime> last_update_;
  std::uint64_t next_order_ = 1;
  std::uint64_t next_number_ = 1;
  std::uint64_t dropped_finding_count_ = 0;
};

}  // namespace hvguard
