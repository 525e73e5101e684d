#include "publish/decision_log.h"

#include <gtest/gtest.h>

namespace hvguard::publish {
namespace {

Decision decision(DecisionStep step, std::uint64_t value, Pid vm = 1) {
  Decision out;
  out.step = step;
  out.vm = VmId{vm, {}, {}};
  out.kind = LimitKind::kReadBytes;
  out.device = DeviceId{8, 0};
  out.value = value;
  out.incident_id = "i1";
  out.reason = "r";
  return out;
}

TEST(DecisionLog, RepeatsAreCountedNotKept) {
  DecisionLog log;
  EXPECT_TRUE(log.add(decision(DecisionStep::kRefused, 1), {}, {}));
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(log.add(decision(DecisionStep::kRefused, 1), {}, {}));
    log.add(decision(DecisionStep::kSet, 7, 2), {}, {});  // another VM is nothing in between
  }
  ASSERT_EQ(log.decisions().size(), 2U);
  EXPECT_EQ(log.decisions().front().repeat_count(), 5U);
  EXPECT_TRUE(log.add(decision(DecisionStep::kSet, 1), {}, {}));
  EXPECT_TRUE(log.add(decision(DecisionStep::kRefused, 1), {}, {}));
  EXPECT_EQ(log.decisions().back().repeat_count(), 0U);
  EXPECT_EQ(log.decisions().back().sequence(), 4U);
}

TEST(DecisionLog, AnotherValueOrDryRunIsAnotherDecision) {
  DecisionLog log;
  EXPECT_TRUE(log.add(decision(DecisionStep::kTightened, 2), {}, {}));
  EXPECT_TRUE(log.add(decision(DecisionStep::kTightened, 1), {}, {}));
  Decision said = decision(DecisionStep::kTightened, 1);
  said.dry_run = true;
  EXPECT_TRUE(log.add(said, {}, {}));
}

TEST(DecisionLog, ForgetsTheOldestAndCountsOn) {
  DecisionLog log;
  for (std::size_t i = 0; i < kMaxDecisions + 10; ++i) {
    EXPECT_TRUE(log.add(decision(DecisionStep::kSet, i), {}, {}));
  }
  ASSERT_EQ(log.decisions().size(), kMaxDecisions);
  EXPECT_EQ(log.decisions().front().sequence(), 11U);
  // One whose only entry was forgotten is new again.
  DecisionLog other;
  other.add(decision(DecisionStep::kSet, 1, 99), {}, {});
  for (std::size_t i = 0; i < kMaxDecisions; ++i) {
    other.add(decision(DecisionStep::kSet, i), {}, {});
  }
  EXPECT_TRUE(other.add(decision(DecisionStep::kSet, 1, 99), {}, {}));
}

TEST(DecisionLog, NamesAreThoseOfTheMoment) {
  DecisionLog log;
  Labels labels;
  labels.vms[VmId{1, {}, {}}] = "web01";
  labels.devices[DeviceId{8, 0}] = "sda";
  log.add(decision(DecisionStep::kSet, 1), labels, {});
  EXPECT_EQ(log.decisions().front().vm_name(), "web01");
  EXPECT_EQ(log.decisions().front().device().name(), "sda");
}

}  // namespace
}  // namespace hvguard::publish
