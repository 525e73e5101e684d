#include "detect/incident_book.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace hvguard {
namespace {

using std::chrono::seconds;
using What = IncidentChange::What;

Finding finding(const std::string& key, Severity severity = Severity::kWarning) {
  Finding one;
  one.kind = IncidentKind::kIoStall;
  one.subject.key = key;
  one.severity = severity;
  one.event_time = BootTime{seconds(990)};
  one.summary = "stalled";
  one.evidence = IoStallEvidence{};
  return one;
}

class Book {
 public:
  explicit Book(const IncidentBookConfig& config = IncidentBookConfig()) : book(config) {}
  IncidentBook book;
  HeldKinds held{};
  BootTime now{seconds(1000)};

  std::vector<IncidentChange> tick(std::vector<Finding> findings, int seconds_later = 1) {
    now = now + seconds(seconds_later);
    return book.update(now, "0123456789", std::move(findings), held);
  }
  // Ticks without findings until something changes.
  int quiet_ticks_until_change() {
    for (int i = 1; i <= 1000; ++i) {
      if (!tick({}).empty()) {
        return i;
      }
    }
    return -1;
  }
};

TEST(IncidentBook, OpensUpdatesAndResolves) {
  Book book;
  auto changes = book.tick({finding("a")});
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].what, What::kOpened);
  EXPECT_EQ(changes[0].incident.id, "3e9-1-01234567");
  EXPECT_EQ(changes[0].incident.event_time, BootTime{seconds(990)});
  EXPECT_EQ(changes[0].incident.detect_time, BootTime{seconds(1001)});
  EXPECT_TRUE(book.tick({finding("a")}).empty());  // nothing new

  changes = book.tick({finding("a", Severity::kCritical)});
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].what, What::kUpdated);
  EXPECT_EQ(changes[0].incident.revision, 2U);
  book.tick({finding("a")});
  EXPECT_EQ(book.book.incidents().at(0).peak_severity, Severity::kCritical);

  EXPECT_EQ(book.quiet_ticks_until_change(), 6);
  const Incident resolved = book.book.incidents().at(0);
  EXPECT_EQ(resolved.state, IncidentState::kResolved);
  EXPECT_EQ(resolved.resolve_time, BootTime{seconds(1005)});  // the first tick without it
}

TEST(IncidentBook, EvidenceIsAVisibleChange) {
  Book book;
  book.tick({finding("a")});
  Finding more = finding("a");
  std::get<IoStallEvidence>(more.evidence).in_flight_count = 9;
  EXPECT_EQ(book.tick({more}).size(), 1U);
  EXPECT_TRUE(book.tick({more}).empty());
}

TEST(IncidentBook, AFlapReopensTheSameIncidentAndClosesSlower) {
  Book book;
  book.tick({finding("a")});
  const std::string id = book.book.incidents().at(0).id;
  EXPECT_EQ(book.quiet_ticks_until_change(), 6);
  const auto changes = book.tick({finding("a")}, 100);
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].what, What::kOpened);
  EXPECT_EQ(changes[0].incident.id, id);
  EXPECT_EQ(changes[0].incident.reopen_count, 1U);
  EXPECT_FALSE(changes[0].incident.resolve_time.has_value());
  EXPECT_EQ(book.quiet_ticks_until_change(), 11);
  for (int i = 0; i < 20; ++i) {
    book.tick({finding("a")});
    book.quiet_ticks_until_change();
  }
  book.tick({finding("a")});
  EXPECT_EQ(book.quiet_ticks_until_change(), 301);  // resolve_after_max
}

TEST(IncidentBook, AfterTheFlapWindowItIsAnotherIncident) {
  Book book;
  book.tick({finding("a")});
  const std::string id = book.book.incidents().at(0).id;
  book.quiet_ticks_until_change();
  EXPECT_NE(book.tick({finding("a")}, 700).at(0).incident.id, id);
}

TEST(IncidentBook, HeldKindsStandStill) {
  Book book;
  book.tick({finding("a")});
  book.held.fill(true);
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(book.tick({}).empty());
  }
  EXPECT_TRUE(book.tick({finding("a", Severity::kCritical), finding("b")}).empty());
  book.held.fill(false);
  EXPECT_EQ(book.quiet_ticks_until_change(), 6);  // blind time was no absence
}

TEST(IncidentBook, DropsWhatMattersLeastAndCountsIt) {
  IncidentBookConfig config;
  config.max_open = 16;
  Book book(config);
  std::vector<Finding> many;
  for (int i = 0; i < 100; ++i) {
    many.push_back(finding("info" + std::to_string(i), Severity::kInfo));
  }
  book.tick(many);
  EXPECT_EQ(book.book.open_count(), 12U);
  EXPECT_EQ(book.book.dropped_finding_count(), 88U);
  for (int i = 0; i < 100; ++i) {
    many.push_back(finding("warning" + std::to_string(i)));
    many.push_back(finding("critical" + std::to_string(i), Severity::kCritical));
  }
  book.tick(many);
  EXPECT_EQ(book.book.open_count(), 16U);
  std::size_t critical = 0;
  for (const Incident& incident : book.book.incidents()) {
    critical += incident.severity == Severity::kCritical ? 1 : 0;
  }
  EXPECT_EQ(critical, 4U);
}

TEST(IncidentBook, RemembersOnlySoManyResolvedOnes) {
  IncidentBookConfig config;
  config.max_resolved = 3;
  Book book(config);
  for (int i = 0; i < 10; ++i) {
    book.tick({finding(std::to_string(i))});
  }
  book.quiet_ticks_until_change();
  for (int i = 0; i < 20; ++i) {
    book.tick({});
  }
  const auto left = book.book.incidents();
  ASSERT_EQ(left.size(), 3U);
  EXPECT_EQ(left[0].subject.key, "9");  // newest first
}

TEST(IncidentBook, ARestartNeitherClearsNorAnnounces) {
  Book before;
  before.tick({finding("a"), finding("b")});
  before.tick({finding("a")});
  std::vector<Incident> saved = before.book.incidents();
  for (Incident& incident : saved) {
    incident.evidence = std::monostate();
  }
  Book after;
  after.now = before.now;
  after.book.restore(saved, seconds(10));
  EXPECT_TRUE(after.tick({}).empty());
  EXPECT_TRUE(after.tick({finding("a")}).empty());  // confirmed, not announced
  EXPECT_EQ(after.book.incidents().at(0).id, saved.at(0).id);
  // "b" has grace and the usual time; "a", confirmed and gone again, the usual time.
  EXPECT_EQ(after.quiet_ticks_until_change(), 6);
  EXPECT_EQ(after.quiet_ticks_until_change(), 8);
  // Numbers go on where they were.
  EXPECT_EQ(after.tick({finding("c")}).at(0).incident.id.find("-3-") == std::string::npos, false);
}

TEST(IncidentBook, IncidentsOfAnotherBootAreForgotten) {
  Book before;
  before.tick({finding("a")});
  std::vector<Incident> saved = before.book.incidents();
  saved[0].id = "3e9-1-fffffff0";
  Book after;
  after.book.restore(saved, seconds(10));
  after.tick({});
  EXPECT_TRUE(after.book.incidents().empty());
}

TEST(IncidentBook, BrokenIdsAreForgottenToo) {
  for (const std::string id : {"", "-", "--", "x", "1-2", "zz-zz-zz"}) {
    Incident incident;
    incident.id = id;
    Book book;
    book.book.restore({incident}, seconds(1));
    book.tick({});
    EXPECT_TRUE(book.book.incidents().empty()) << id;
  }
}

TEST(IncidentBook, TwoFindingsOfOneIdentityAreOne) {
  Book book;
  EXPECT_EQ(book.tick({finding("a"), finding("a")}).size(), 1U);
}

}  // namespace
}  // namespace hvguard
