#include "detect/agent_blind.h"

#include <gtest/gtest.h>

#include "host/host.h"

namespace hvguard {
namespace {

using std::chrono::seconds;
using test::Host;

TEST(AgentBlind, OpensInTheThirdTick) {
  Host host;
  AgentBlindState state;
  const auto tick = [&] {
    host.advance(seconds(1));
    return detect_agent_blind(AgentBlindConfig(), state, *host.snapshot());
  };
  host.set_source(Source::kTasks, SourceState::kBlind, "refused\n\x1b");
  EXPECT_TRUE(tick().empty());
  EXPECT_TRUE(tick().empty());
  auto found = tick();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].severity, Severity::kWarning);
  EXPECT_EQ(found[0].subject.key, "source:tasks");
  EXPECT_NE(found[0].summary.find("Not watched: blocked tasks"), std::string::npos);
  EXPECT_EQ(found[0].summary.find('\n'), std::string::npos);
  EXPECT_EQ(found[0].event_time, Host::kStart);  // when it last gave data

  host.set_source(Source::kTasks, SourceState::kDegraded, "from /proc");
  found = tick();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].severity, Severity::kInfo);
  EXPECT_TRUE(std::get<AgentBlindEvidence>(found[0].evidence).degraded);

  host.set_source(Source::kTasks, SourceState::kOk, "");
  EXPECT_TRUE(tick().empty());
  host.set_source(Source::kTasks, SourceState::kBlind, "again");
  EXPECT_TRUE(tick().empty());  // counts from one again
}

TEST(AgentBlind, OldReadingsAreBlindWhateverTheStateSays) {
  Host host;
  Snapshot snapshot = *host.snapshot();
  EXPECT_EQ(effective_state(snapshot, Source::kPressure), SourceState::kOk);
  snapshot.boot_time = snapshot.boot_time + seconds(3);
  EXPECT_EQ(effective_state(snapshot, Source::kPressure), SourceState::kOk);
  snapshot.boot_time = snapshot.boot_time + seconds(1);
  EXPECT_EQ(effective_state(snapshot, Source::kPressure), SourceState::kBlind);
  // Asked only when there is something to ask.
  EXPECT_EQ(effective_state(snapshot, Source::kVmProbe), SourceState::kOk);
}

TEST(AgentBlind, ASlowFallbackMayTakeItsTime) {
  Host host;
  host.set_source(Source::kTasks, SourceState::kDegraded, "from /proc");
  Snapshot snapshot = *host.snapshot();
  snapshot.boot_time = snapshot.boot_time + seconds(20);
  EXPECT_EQ(effective_state(snapshot, Source::kTasks), SourceState::kDegraded);
  snapshot.boot_time = snapshot.boot_time + seconds(20);
  EXPECT_EQ(effective_state(snapshot, Source::kTasks), SourceState::kBlind);
}

TEST(AgentBlind, TheLateSamplerSaysWhatItReads) {
  const auto finding = sampler_late_finding(BootTime{seconds(10)}, BootTime{seconds(6)}, "a\nb");
  EXPECT_EQ(finding.event_time, BootTime{seconds(6)});
  EXPECT_NE(finding.summary.find("a\\x0ab"), std::string::npos);
  EXPECT_TRUE(std::get<AgentBlindEvidence>(finding.evidence).sampler_late);
}

// What is unknown without being a fault is no trouble, and what only tells of the past no warning.
TEST(AgentBlind, UnknownIsNoTroubleAndThePastNoWarning) {
  Host host;
  AgentBlindState state;
  const auto after_five_ticks = [&] {
    std::vector<Finding> found;
    for (int i = 0; i < 5; ++i) {
      host.advance(seconds(1));
      found = detect_agent_blind(AgentBlindConfig(), state, *host.snapshot());
    }
    return found;
  };
  host.set_source(Source::kPreviousBoot, SourceState::kUnknown, "has not spoken yet");
  EXPECT_TRUE(after_five_ticks().empty());
  host.set_source(Source::kPreviousBoot, SourceState::kBlind, "says nothing");
  const auto found = after_five_ticks();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].severity, Severity::kInfo);
  EXPECT_EQ(found[0].subject.key, "source:previous_boot");
}

}  // namespace
}  // namespace hvguard
