#include "publish/journal.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../support/fake_journald.h"

namespace hvguard::publish {
namespace {

using tests::FakeJournald;

IncidentChange hostile_change() {
  IncidentChange change;
  Incident& incident = change.incident;
  incident.id = "1-2-3";
  incident.kind = IncidentKind::kHungTask;
  incident.severity = Severity::kCritical;
  incident.subject.key = "cause:block_io\nPRIORITY=0";
  incident.subject.vm = VmId{4711, {Nanoseconds(1)}, {23}};
  incident.summary = "task a\x1b[31m\nMESSAGE_ID=x in qemu\\x2d1";
  return change;
}

TEST(Journal, RecordHasItsFieldsAndNothingRaw) {
  const std::string record = encode_audit(audit_record(hostile_change()));
  EXPECT_EQ(record,
            "MESSAGE=hung_task opened: task a\\x1b[31m\\x0aMESSAGE_ID=x in qemu\\x2d1\n"
            "MESSAGE_ID=c2fb523ce7f643cfa988536d6c49bfbe\n"
            "PRIORITY=3\n"
            "SYSLOG_IDENTIFIER=hvguardd\n"
            "HVGUARD_INCIDENT=1-2-3\n"
            "HVGUARD_KIND=hung_task\n"
            "HVGUARD_SEVERITY=critical\n"
            "HVGUARD_SUBJECT=cause:block_io\\x0aPRIORITY=0\n"
            "HVGUARD_VM=4711-1-23\n");
}

TEST(Journal, ResolutionTellsHowLongItLasted) {
  IncidentChange change = hostile_change();
  change.what = IncidentChange::What::kResolved;
  change.incident.event_time = {std::chrono::seconds(10)};
  change.incident.resolve_time = BootTime{std::chrono::seconds(22)};
  change.incident.summary = "s";
  const AuditRecord record = audit_record(change);
  EXPECT_EQ(record.message, "hung_task resolved after 12.0 s: s");
  EXPECT_EQ(record.priority, Priority::kNotice);
  EXPECT_EQ(record.kind, AuditKind::kIncidentResolved);
}

TEST(Journal, SourceRecordsNameTheSource) {
  SourceStatus source;
  source.source = Source::kBlockIo;
  source.state = SourceState::kDegraded;
  source.detail = "no BTF";
  EXPECT_EQ(audit_record(source).message, "source block_io is degraded: no BTF");
  source.state = SourceState::kOk;
  EXPECT_EQ(audit_record(source).kind, AuditKind::kSourceBack);
}

TEST(Journal, MessageIdsAreDistinctAndInTheCatalog) {
  std::ifstream file(HVGUARD_CATALOG);
  const std::string catalog((std::istreambuf_iterator<char>(file)), {});
  std::set<std::string_view> ids;
  for (std::size_t i = 0; i < kAuditKindCount; ++i) {
    const std::string_view id = message_id(static_cast<AuditKind>(i));
    EXPECT_EQ(id.size(), 32U);
    EXPECT_EQ(id.find_first_not_of("0123456789abcdef"), std::string_view::npos);
    EXPECT_TRUE(ids.insert(id).second);
    EXPECT_NE(catalog.find("-- " + std::string(id) + "\n"), std::string::npos) << id;
  }
}

TEST(Journal, ReachesAListener) {
  const FakeJournald journald;
  auto journal = Journal::open(journald.path()).value();
  EXPECT_EQ(journal.write(audit_record(hostile_change())), Journal::Delivery::kSent);
  EXPECT_EQ(journald.receive(), encode_audit(audit_record(hostile_change())));
}

TEST(Journal, AFullSocketDropsAndCountsAndNeverWaits) {
  const FakeJournald journald;
  auto journal = Journal::open(journald.path()).value();
  const AuditRecord record = audit_record(hostile_change());
  int sent = 0;
  while (journal.write(record) == Journal::Delivery::kSent) {
    ASSERT_LT(++sent, 100'000);
  }
  EXPECT_EQ(journal.dropped_count(), 1U);
  EXPECT_EQ(journal.write(record), Journal::Delivery::kDropped);
  EXPECT_EQ(journal.dropped_count(), 2U);
  while (!journald.receive().empty()) {  // the reader woke up
  }
  EXPECT_EQ(journal.write(record), Journal::Delivery::kSent);
}

TEST(Journal, NobodyThereIsSaidAndARestartIsNoticed) {
  auto journal = Journal::open("/nonexistent/journal/socket").value();
  EXPECT_EQ(journal.write({}), Journal::Delivery::kNoJournal);
  EXPECT_EQ(journal.dropped_count(), 0U);
}

}  // namespace
}  // namespace hvguard::publish
