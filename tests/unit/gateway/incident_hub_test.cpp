#include "gateway/incident_hub.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "sample_frame.h"

namespace hvguard::gateway {
namespace {

using Kind = IncidentEvent::Kind;
using test::kSampleIncidents;
using test::kSampleTime;

// Publishes frames that differ as the test says.
class IncidentHubTest : public ::testing::Test {
 protected:
  void publish() {
    link::Frame copy = frame;
    auto next = link::build_mirror(std::move(copy), mirror.get());
    mirror = next;
    hub.publish(next);
  }
  void change(std::size_t index) {
    frame.incidents[index].set_revision(frame.incidents[index].revision() + 1);
    publish();
  }
  std::shared_ptr<IncidentHub::Watch> watch(const v1::WatchIncidentsRequest& request = {}) {
    auto made = hub.watch(request, [this] { ++wakes; });
    EXPECT_TRUE(made) << made.error().message;
    return *made;
  }
  static std::vector<IncidentEvent> pull_all(IncidentHub::Watch& watch) {
    std::vector<IncidentEvent> events;
    while (auto event = watch.pull()) {
      events.push_back(std::move(*event));
    }
    return events;
  }

  WatcherSlots slots{4};
  IncidentHub hub{slots, 0xabcd};
  link::Frame frame = test::sample_frame(1, kSampleTime);
  std::shared_ptr<const link::Mirror> mirror;
  std::atomic<int> wakes = 0;
};

TEST_F(IncidentHubTest, GivesTheSnapshotThenItsEndThenChanges) {
  publish();
  const auto watcher = watch();
  const auto snapshot = pull_all(*watcher);
  ASSERT_EQ(snapshot.size(), kSampleIncidents + 1);
  for (std::size_t i = 0; i < kSampleIncidents; ++i) {
    EXPECT_EQ(snapshot[i].kind, Kind::kSnapshot);
    EXPECT_EQ(snapshot[i].sequence, i + 1);
    EXPECT_EQ(snapshot[i].resume_token, "");
    EXPECT_FALSE(snapshot[i].incident->has_evidence());
  }
  EXPECT_EQ(snapshot.back().kind, Kind::kEndOfSnapshot);
  EXPECT_EQ(snapshot.back().count, kSampleIncidents);
  EXPECT_NE(snapshot.back().resume_token, "");
  EXPECT_EQ(snapshot.back().epoch, 7U);

  EXPECT_EQ(wakes, 0);
  publish();  // nothing differs
  EXPECT_EQ(wakes, 0);
  change(2);
  EXPECT_EQ(wakes, 1);
  const auto changes = pull_all(*watcher);
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].kind, Kind::kChange);
  EXPECT_EQ(changes[0].incident->incident_id(), "1a2b0003");
  EXPECT_EQ(changes[0].sequence, kSampleIncidents + 2);
}

TEST_F(IncidentHubTest, ChangesDuringTheSnapshotFollowIt) {
  publish();
  const auto watcher = watch();
  ASSERT_EQ(watcher->pull()->kind, Kind::kSnapshot);
  change(0);
  const auto events = pull_all(*watcher);
  ASSERT_EQ(events.size(), kSampleIncidents + 1);
  EXPECT_EQ(events[kSampleIncidents - 1].kind, Kind::kEndOfSnapshot);
  EXPECT_EQ(events.back().kind, Kind::kChange);
  EXPECT_EQ(events.back().incident->revision(), 2U);
}

TEST_F(IncidentHubTest, ResumesBehindATokenWithoutASnapshot) {
  publish();
  std::string token;
  {
    const auto watcher = watch();
    token = pull_all(*watcher).back().resume_token;
  }
  change(1);
  change(2);
  v1::WatchIncidentsRequest request;
  request.set_resume_token(token);
  const auto events = pull_all(*watch(request));
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0].kind, Kind::kEndOfSnapshot);
  EXPECT_EQ(events[0].count, 0U);
  EXPECT_EQ(events[1].incident->incident_id(), "1a2b0002");
  EXPECT_EQ(events[2].incident->incident_id(), "1a2b0003");
}

TEST_F(IncidentHubTest, AForeignBrokenOrOldTokenGivesASnapshot) {
  publish();
  std::string old = pull_all(*watch()).back().resume_token;
  for (std::size_t i = 0; i <= IncidentHub::kMaxLoggedChanges; ++i) {
    change(0);
  }
  const std::string current = pull_all(*watch()).back().resume_token;
  std::string foreign = current;
  foreign[0] = foreign[0] == '1' ? '2' : '1';
  for (const std::string& token : {old,
                                   foreign,
                                   std::string("x"),
                                   std::string(9000, '.'),
                                   current.substr(0, 17) + "99999999999"}) {
    v1::WatchIncidentsRequest request;
    request.set_resume_token(token);
    EXPECT_EQ(pull_all(*watch(request)).size(), kSampleIncidents + 1) << token.substr(0, 40);
  }
}

TEST_F(IncidentHubTest, ASlowWatcherGetsAGapAndAFreshSnapshot) {
  publish();
  const auto watcher = watch();
  pull_all(*watcher);
  const std::size_t lost = 10;
  for (std::size_t i = 0; i < IncidentHub::kMaxLoggedChanges + lost; ++i) {
    change(0);
  }
  const auto events = pull_all(*watcher);
  ASSERT_EQ(events.size(), kSampleIncidents + 2);
  EXPECT_EQ(events[0].kind, Kind::kGap);
  EXPECT_EQ(events[0].count, lost);
  EXPECT_EQ(events[0].resume_token, "");
  EXPECT_EQ(events[1].kind, Kind::kSnapshot);
  EXPECT_EQ(events.back().kind, Kind::kEndOfSnapshot);
  for (std::size_t i = 1; i < events.size(); ++i) {
    EXPECT_EQ(events[i].sequence, events[i - 1].sequence + 1);
  }
  change(1);
  EXPECT_EQ(pull_all(*watcher).size(), 1U);
}

TEST_F(IncidentHubTest, AnOpenIncidentThatVanishesMakesEverybodyStartAgain) {
  publish();
  const auto watcher = watch();
  pull_all(*watcher);
  frame.incidents.pop_back();
  publish();
  EXPECT_EQ(wakes, 1);
  const auto events = pull_all(*watcher);
  ASSERT_EQ(events.size(), kSampleIncidents + 1);
  EXPECT_EQ(events[0].kind, Kind::kGap);
  EXPECT_EQ(events[0].count, 1U);
  EXPECT_EQ(events.back().count, kSampleIncidents - 1);
}

TEST_F(IncidentHubTest, AResolvedIncidentIsForgottenSilently) {
  frame.incidents.back().set_state(v1::Incident::STATE_RESOLVED);
  publish();
  const auto watcher = watch();
  pull_all(*watcher);
  frame.incidents.pop_back();
  publish();
  EXPECT_TRUE(pull_all(*watcher).empty());
}

TEST_F(IncidentHubTest, TellsAChangeOutOfTheFilterAndNoForeignOnes) {
  publish();
  v1::WatchIncidentsRequest request;
  request.mutable_filter()->set_state(v1::Incident::STATE_OPEN);
  request.mutable_filter()->add_kinds(v1::Incident::KIND_IO_STALL);
  const auto watcher = watch(request);
  EXPECT_EQ(pull_all(*watcher).size(), 2U);
  change(0);  // another kind
  EXPECT_TRUE(pull_all(*watcher).empty());
  frame.incidents[2].set_state(v1::Incident::STATE_RESOLVED);
  change(2);
  const auto events = pull_all(*watcher);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].incident->state(), v1::Incident::STATE_RESOLVED);
  change(2);  // still resolved: no business of this watcher
  EXPECT_TRUE(pull_all(*watcher).empty());
}

TEST_F(IncidentHubTest, RefusesBeforeDataBeyondTheLimitAndAfterTheEnd) {
  EXPECT_EQ(hub.watch({}, [] {}).error().code, Errc::kUnavailable);
  publish();
  std::vector<std::shared_ptr<IncidentHub::Watch>> held;
  for (int i = 0; i < 4; ++i) {
    held.push_back(watch());
  }
  EXPECT_EQ(hub.watch({}, [] {}).error().code, Errc::kExhausted);
  held.pop_back();
  held.push_back(watch());
  hub.close();
  EXPECT_EQ(wakes, 4);
  EXPECT_TRUE(held[0]->closed());
  EXPECT_FALSE(held[0]->pull());
  held.clear();
  EXPECT_EQ(hub.watch({}, [] {}).error().code, Errc::kUnavailable);
}

// For the thread sanitizer: one publishes, others pull, come and go.
TEST_F(IncidentHubTest, ManyThreadsSeeEveryChangeInOrder) {
  publish();
  std::atomic<bool> done = false;
  std::atomic<int> failures = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      std::string token;
      while (!done) {
        v1::WatchIncidentsRequest request;
        request.set_resume_token(token);
        auto made = hub.watch(request, [] {});
        if (!made) {
          ++failures;
          return;
        }
        std::uint64_t sequence = 0;
        for (int n = 0; n < 50 && !done; ++n) {
          if (const auto event = (*made)->pull()) {
            failures += event->sequence != ++sequence ? 1 : 0;
            token = event->resume_token;
          }
        }
      }
    });
  }
  for (int i = 0; i < 1500; ++i) {
    change(static_cast<std::size_t>(i % 5));
  }
  done = true;
  for (std::thread& reader : readers) {
    reader.join();
  }
  EXPECT_EQ(failures, 0);
}

}  // namespace
}  // namespace hvguard::gateway
