// What goes into the audit trail, and how often. Opening and resolution always; a change only if
// the severity moved or the trouble came back, since evidence moves every second. A source of data
// when it is lost or back, not at the first sight of it: a restart announces nothing anew.
// Loop thread only.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/incident.h"
#include "model/snapshot.h"
#include "publish/journal.h"
#include "publish/to_proto_limit.h"

namespace hvguard::guard {

// Of one tick: a record costs some microseconds of the loop's 10 ms.
inline constexpr std::size_t kMaxDecisionRecords = 100;

class Audit {
 public:
  // `also_log`: standard error does not lead to the journal, so records show there as well.
  Audit(publish::Journal journal, bool also_log)
      : journal_(std::move(journal)), also_log_(also_log) {}

  void restored(const std::vector<Incident>& incidents);
  void record(const publish::AuditRecord& record);
  void changes(const std::vector<IncidentChange>& changes);
  void sources(const Snapshot& snapshot);
  // Those of one tick; at most kMaxDecisionRecords one by one, the rest as a number.
  void decisions(const std::vector<Decision>& decisions, const publish::Labels& labels);
  [[nodiscard]] std::uint64_t dropped_count() const { return journal_.dropped_count(); }

 private:
  struct Announced {
    Severity severity = Severity::kInfo;
    std::uint32_t reopen_count = 0;

    bool operator==(const Announced&) const = default;
  };

  publish::Journal journal_;
  bool also_log_;
  std::map<std::string, Announced> announced_;  // by incident id; open ones only
  std::array<std::optional<SourceState>, kSourceCount> source_states_{};
};

}  // namespace hvguard::guard
