#include "guard/audit.h"

#include <gtest/gtest.h>

#include "../support/fake_journald.h"

namespace hvguard::guard {
namespace {

using Messages = std::vector<std::string>;

IncidentChange change(IncidentChange::What what, Severity severity = Severity::kWarning) {
  IncidentChange out;
  out.what = what;
  out.incident.id = "i1";
  out.incident.kind = IncidentKind::kIoStall;
  out.incident.severity = severity;
  out.incident.summary = "s";
  return out;
}

struct Audited {
  tests::FakeJournald journald;
  Audit audit{publish::Journal::open(journald.path()).value(), false};
};

constexpr auto kOpened = IncidentChange::What::kOpened;
constexpr auto kUpdated = IncidentChange::What::kUpdated;
constexpr auto kResolved = IncidentChange::What::kResolved;

TEST(Audit, EvidenceThatMovesIsNotRepeated) {
  Audited t;
  t.audit.changes({change(kOpened)});
  EXPECT_EQ(t.journald.messages(), Messages{"io_stall opened: s"});
  t.audit.changes({change(kUpdated), change(kUpdated)});
  EXPECT_TRUE(t.journald.messages().empty());
  t.audit.changes({change(kUpdated, Severity::kCritical)});
  EXPECT_EQ(t.journald.messages(), Messages{"io_stall changed: s"});
  t.audit.changes({change(kResolved)});
  EXPECT_EQ(t.journald.messages(), Messages{"io_stall resolved after 0 ms: s"});
}

TEST(Audit, ARestartAnnouncesNothingAnew) {
  Audited t;
  t.audit.restored({change(kOpened).incident});
  t.audit.changes({change(kUpdated)});
  EXPECT_TRUE(t.journald.messages().empty());
  t.audit.changes({change(kResolved)});
  EXPECT_EQ(t.journald.messages().size(), 1U);
}

TEST(Audit, AFlapIsAnnounced) {
  Audited t;
  t.audit.changes({change(kOpened)});
  t.audit.changes({change(kResolved)});
  IncidentChange again = change(kOpened);
  again.incident.reopen_count = 1;
  t.audit.changes({again});
  EXPECT_EQ(t.journald.messages().size(), 3U);
}

TEST(Audit, SourcesAreToldWhenTheyChange) {
  Audited t;
  Snapshot snapshot;
  for (SourceStatus& source : snapshot.sources) {
    source.state = SourceState::kOk;
  }
  snapshot.sources[0].state = SourceState::kDegraded;  // from the start: logged, not audited
  t.audit.sources(snapshot);
  EXPECT_TRUE(t.journald.messages().empty());
  snapshot.sources[0].state = SourceState::kOk;
  t.audit.sources(snapshot);
  EXPECT_EQ(t.journald.messages(), Messages{"source tasks works again"});
  snapshot.sources[0].state = SourceState::kBlind;
  snapshot.sources[0].detail = "gone";
  t.audit.sources(snapshot);
  t.audit.sources(snapshot);
  EXPECT_EQ(t.journald.messages(), Messages{"source tasks is blind: gone"});
}

// A source that has not spoken yet is not lost, and what it says at last does not come "back".
TEST(Audit, ASourceThatIsUnknownIsNoNews) {
  Audited t;
  Snapshot snapshot;
  for (SourceStatus& source : snapshot.sources) {
    source.state = SourceState::kOk;
  }
  for (const SourceState state : {SourceState::kUnknown, SourceState::kOk, SourceState::kUnknown}) {
    snapshot.sources[0].state = state;
    t.audit.sources(snapshot);
  }
  EXPECT_TRUE(t.journald.messages().empty());
}

TEST(Audit, ManyDecisionsOfOneMomentAreBoundedAndTheRestCounted) {
  Audited t;
  const VmId vm{7, {}, {}};
  Decision decision;
  decision.vm = vm;
  decision.reason = "r";
  publish::Labels labels;
  labels.vms[vm] = "web01";
  t.audit.decisions({decision}, labels);
  EXPECT_EQ(t.journald.messages(), Messages{"set of VM web01: r"});
  // The fake journald's queue is short: what does not fit is dropped and counted, as ever.
  t.audit.decisions(std::vector<Decision>(kMaxDecisionRecords + 50, decision), labels);
  EXPECT_EQ(t.journald.messages().size() + t.audit.dropped_count(), kMaxDecisionRecords + 1);
}

}  // namespace
}  // namespace hvguard::guard
