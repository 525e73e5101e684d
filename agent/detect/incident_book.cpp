#include "detect/incident_book.h"

#include <algorithm>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "base/parse.h"

namespace hvguard {
namespace {

bool is_held(const HeldKinds& held, IncidentKind kind) {
  return held.at(static_cast<std::size_t>(kind));
}

// The part of a boot id that goes into incident ids: enough to tell boots of one host apart.
std::string boot_part(const BootId& boot_id) {
  return boot_id.empty() ? "unknown" : boot_id.substr(0, 8);
}

// "<boot seconds, hex>-<number, hex>-<boot id part>"
struct IdParts {
  std::uint64_t number = 0;
  std::string_view boot;
};

IdParts parse_id(std::string_view id) {
  if (id.empty()) {
    return {};
  }
  id = id.substr(std::min(id.find('-'), id.size() - 1) + 1);
  const auto number = parse_number<std::uint64_t>(next_field(id, '-'), 16);
  return {.number = number.value_or(0), .boot = id};
}

// Takes the Finding into the incident; true if that is a visible change.
bool take(Incident& incident, Finding finding) {
  const bool after_restart = std::holds_alternative<std::monostate>(incident.evidence);
  const bool same = incident.severity == finding.severity && incident.summary == finding.summary &&
                    incident.subject == finding.subject &&
                    (after_restart || incident.evidence == finding.evidence);
  incident.event_time = std::min(incident.event_time, finding.event_time);
  incident.severity = finding.severity;
  incident.peak_severity = std::max(incident.peak_severity, finding.severity);
  incident.summary = std::move(finding.summary);
  incident.subject = std::move(finding.subject);
  incident.evidence = std::move(finding.evidence);
  return !same;
}

Nanoseconds resolve_after(const IncidentBookConfig& config, const Incident& incident) {
  Nanoseconds after = config.resolve_after;
  for (std::uint32_t i = 0; i < incident.reopen_count && after < config.resolve_after_max; ++i) {
    after *= 2;
  }
  return std::min(after, std::max(config.resolve_after, config.resolve_after_max));
}

}  // namespace

bool IncidentBook::has_place_for(Severity severity) const {
  const std::size_t eighth = config_.max_open / 8;
  std::size_t bound = config_.max_open;
  if (severity == Severity::kWarning) {
    bound -= eighth;
  } else if (severity == Severity::kInfo) {
    bound -= 2 * eighth;
  }
  return open_.size() < bound;
}

std::string IncidentBook::next_id(BootTime now, const BootId& boot_id) {
  const auto boot_seconds =
      std::chrono::duration_cast<std::chrono::seconds>(now.since_boot).count();
  return fmt::format("{:x}-{:x}-{}", boot_seconds, next_number_++, boot_part(boot_id));
}

std::optional<Incident> IncidentBook::take_flapping(const Key& key, BootTime now) {
  const auto at = std::find_if(resolved_.rbegin(), resolved_.rend(), [&](const Incident& one) {
    return one.kind == key.first && one.subject.key == key.second;
  });
  if (at == resolved_.rend() || !at->resolve_time ||
      now - *at->resolve_time > config_.flap_window) {
    return std::nullopt;
  }
  Incident incident = std::move(*at);
  resolved_.erase(std::next(at).base());
  return incident;
}

std::optional<IncidentChange> IncidentBook::open(Finding finding,
                                                 BootTime now,
                                                 const BootId& boot_id) {
  if (!has_place_for(finding.severity)) {
    ++dropped_finding_count_;
    return std::nullopt;
  }
  const Key key(finding.kind, finding.subject.key);
  Open entry;
  entry.order = next_order_++;
  if (auto flapping = take_flapping(key, now)) {
    entry.incident = std::move(*flapping);
    entry.incident.state = IncidentState::kOpen;
    entry.incident.resolve_time.reset();
    ++entry.incident.reopen_count;
    ++entry.incident.revision;
  } else {
    entry.incident.id = next_id(now, boot_id);
    entry.incident.kind = finding.kind;
    entry.incident.event_time = finding.event_time;
    entry.incident.detect_time = now;
  }
  take(entry.incident, std::move(finding));
  const auto [at, inserted] = open_.emplace(key, std::move(entry));
  return IncidentChange{.what = IncidentChange::What::kOpened, .incident = at->second.incident};
}

std::optional<IncidentChange> IncidentBook::open_or_update(Finding finding,
                                                           BootTime now,
                                                           const BootId& boot_id) {
  const auto at = open_.find(Key(finding.kind, finding.subject.key));
  if (at == open_.end()) {
    return open(std::move(finding), now, boot_id);
  }
  Open& entry = at->second;
  entry.absent_since.reset();
  entry.absent_time = Nanoseconds(0);
  entry.grace = Nanoseconds(0);
  if (!take(entry.incident, std::move(finding))) {
    return std::nullopt;
  }
  ++entry.incident.revision;
  return IncidentChange{.what = IncidentChange::What::kUpdated, .incident = entry.incident};
}

void IncidentBook::remember_resolved(Incident incident) {
  resolved_.push_back(std::move(incident));
  if (resolved_.size() > config_.max_resolved) {
    resolved_.erase(resolved_.begin(),
                    resolved_.end() - static_cast<std::ptrdiff_t>(config_.max_resolved));
  }
}

void IncidentBook::restore(std::vector<Incident> incidents, Nanoseconds grace) {
  for (Incident& incident : incidents) {
    restored_.emplace_back(std::move(incident), grace);
  }
}

void IncidentBook::settle_restored(const BootId& boot_id) {
  std::sort(restored_.begin(), restored_.end(), [](const auto& a, const auto& b) {
    return a.first.resolve_time < b.first.resolve_time;  // open ones first, then oldest first
  });
  for (auto& [incident, grace] : restored_) {
    const IdParts id = parse_id(incident.id);
    if (id.boot != boot_part(boot_id)) {
      continue;
    }
    next_number_ = std::max(next_number_, id.number + 1);
    if (incident.state == IncidentState::kResolved) {
      remember_resolved(std::move(incident));
    } else if (open_.size() < config_.max_open) {
      Key key(incident.kind, incident.subject.key);
      Open entry;
      entry.incident = std::move(incident);
      entry.order = next_order_++;
      entry.grace = grace;
      open_.emplace(std::move(key), std::move(entry));
    } else {
      ++dropped_finding_count_;
    }
  }
  restored_.clear();
}

std::vector<IncidentChange> IncidentBook::update(BootTime now,
                                                 const BootId& boot_id,
                                                 std::vector<Finding> findings,
                                                 const HeldKinds& held) {
  settle_restored(boot_id);
  const Nanoseconds step =
      last_update_ ? std::max(now - *last_update_, Nanoseconds(0)) : Nanoseconds(0);
  last_update_ = now;

  std::vector<IncidentChange> changes;
  std::set<Key> present;
  // The worst first, so that what finds no place is what matters least.
  for (const Severity severity : {Severity::kCritical, Severity::kWarning, Severity::kInfo}) {
    for (Finding& finding : findings) {
      if (finding.severity != severity || is_held(held, finding.kind) ||
          !present.emplace(finding.kind, finding.subject.key).second) {
        continue;
      }
      if (auto change = open_or_update(std::move(finding), now, boot_id)) {
        changes.push_back(std::move(*change));
      }
    }
  }

  for (auto at = open_.begin(); at != open_.end();) {
    Open& entry = at->second;
    if (is_held(held, at->first.first) || present.contains(at->first)) {
      ++at;
      continue;
    }
    if (!entry.absent_since) {
      entry.absent_since = now;
    } else {
      entry.absent_time += step;
    }
    if (entry.absent_time < resolve_after(config_, entry.incident) + entry.grace) {
      ++at;
      continue;
    }
    Incident incident = std::move(entry.incident);
    incident.state = IncidentState::kResolved;
    incident.resolve_time = *entry.absent_since;
    ++incident.revision;
    changes.push_back({.what = IncidentChange::What::kResolved, .incident = incident});
    remember_resolved(std::move(incident));
    at = open_.erase(at);
  }
  return changes;
}

std::optional<IncidentChange> IncidentBook::decided(const std::string& id, BootTime time) {
  for (auto& [key, open] : open_) {
    if (open.incident.id == id && open.incident.decide_time != time) {
      open.incident.decide_time = time;
      ++open.incident.revision;
      return IncidentChange{IncidentChange::What::kUpdated, open.incident};
    }
  }
  return std::nullopt;
}

std::optional<IncidentChange> IncidentBook::acknowledge(const std::string& id,
                                                        Acknowledgement acknowledgement) {
  const auto known = [&](Incident& incident) {
    incident.acknowledgement = std::move(acknowledgement);
    ++incident.revision;
    return IncidentChange{IncidentChange::What::kUpdated, incident};
  };
  for (auto& [key, open] : open_) {
    if (open.incident.id == id) {
      return known(open.incident);
    }
  }
  for (Incident& incident : resolved_) {
    if (incident.id == id) {
      return known(incident);
    }
  }
  return std::nullopt;
}

std::vector<Incident> IncidentBook::incidents() const {
  std::vector<const Open*> open;
  open.reserve(open_.size());
  for (const auto& [key, entry] : open_) {
    open.push_back(&entry);
  }
  std::sort(
      open.begin(), open.end(), [](const Open* a, const Open* b) { return a->order < b->order; });
  std::vector<Incident> all;
  all.reserve(open.size() + resolved_.size());
  for (const Open* entry : open) {
    all.push_back(entry->incident);
  }
  all.insert(all.end(), resolved_.rbegin(), resolved_.rend());
  return all;
}

}  // namespace hvguard
