#include "guard/audit.h"

#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "model/names.h"
#include "publish/safe_line.h"

namespace hvguard::guard {
namespace {

constexpr std::size_t kMaxLoggedBytes = 2048;

spdlog::level::level_enum level_of(publish::Priority priority) {
  switch (priority) {
    case publish::Priority::kError:
      return spdlog::level::err;
    case publish::Priority::kWarning:
      return spdlog::level::warn;
    case publish::Priority::kNotice:
    case publish::Priority::kInfo:
      break;
  }
  return spdlog::level::info;
}

}  // namespace

void Audit::restored(const std::vector<Incident>& incidents) {
  for (const Incident& incident : incidents) {
    if (incident.state == IncidentState::kOpen) {
      announced_[incident.id] = {incident.severity, incident.reopen_count};
    }
  }
}

void Audit::record(const publish::AuditRecord& record) {
  const auto delivery = journal_.write(record);
  if (also_log_ || delivery == publish::Journal::Delivery::kNoJournal) {
    spdlog::log(
        level_of(record.priority), "{}", publish::safe_line(record.message, kMaxLoggedBytes));
  }
}

void Audit::changes(const std::vector<IncidentChange>& changes) {
  for (const IncidentChange& change : changes) {
    const Incident& incident = change.incident;
    if (change.what == IncidentChange::What::kResolved) {
      announced_.erase(incident.id);
      record(publish::audit_record(change));
      continue;
    }
    const Announced now{incident.severity, incident.reopen_count};
    const auto [known, is_new] = announced_.try_emplace(incident.id, now);
    if (is_new || known->second != now) {
      known->second = now;
      record(publish::audit_record(change));
    }
  }
}

void Audit::sources(const Snapshot& snapshot) {
  for (std::size_t i = 0; i < kSourceCount; ++i) {
    const SourceStatus& source = snapshot.sources.at(i);
    if (source.state == SourceState::kUnknown) {
      continue;  // not lost, and what comes after it is not "back"
    }
    auto& known = source_states_.at(i);
    if (known && *known != source.state) {
      record(publish::audit_record(source));
    } else if (!known && source.state != SourceState::kOk) {
      spdlog::warn("source {} is {}: {}",
                   to_string(source.source),
                   to_string(source.state),
                   publish::safe_line(source.detail, kMaxLoggedBytes));
    }
    known = source.state;
  }
}

void Audit::decisions(const std::vector<Decision>& decisions, const publish::Labels& labels) {
  for (std::size_t i = 0; i < std::min(decisions.size(), kMaxDecisionRecords); ++i) {
    const Decision& decision = decisions[i];
    const auto name = decision.vm ? labels.vms.find(*decision.vm) : labels.vms.end();
    record(publish::audit_record(decision, name == labels.vms.end() ? "" : name->second));
  }
  if (decisions.size() > kMaxDecisionRecords) {
    const std::size_t more = decisions.size() - kMaxDecisionRecords;
    record(
        {.kind = publish::AuditKind::kDecision,
         .priority = publish::Priority::kNotice,
         .message = fmt::format("{} more decisions of the same moment, not told one by one", more),
         .fields = {{"HVGUARD_MORE", std::to_string(more)}}});
  }
}

}  // namespace hvguard::guard
