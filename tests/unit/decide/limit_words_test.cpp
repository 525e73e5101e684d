#include "decide/limit_words.h"

#include <gtest/gtest.h>

namespace hvguard {
namespace {

Decision decision(Pid vm, LimitKind kind, const std::string& reason) {
  Decision made;
  made.vm = VmId{.tgid = vm, .start = {}, .cgroup = {}};
  made.kind = kind;
  made.value = 1;
  made.reason = reason;
  return made;
}

TEST(LimitWords, ValuesAreWrittenInTheirUnit) {
  EXPECT_EQ(format_limit(LimitKind::kReadBytes, 16'000'000), "16.0 MB/s");
  EXPECT_EQ(format_limit(LimitKind::kWriteOperations, 200), "200 operations/s");
  EXPECT_EQ(format_limit(LimitKind::kMemoryMax, 1 << 30), "1 GiB");
  EXPECT_EQ(format_limit(LimitKind::kCpuMax, 1'500'000), "1.50 cores");
  EXPECT_EQ(format_limit(LimitKind::kPidsMax, 4096), "4096 tasks");
  EXPECT_EQ(format_limit(LimitKind::kIoWeight, 50), "50");
}

TEST(LimitWords, WhatIsDecidedAlikeAboutAVmIsToldTogether) {
  const auto folded = fold_decisions({decision(1, LimitKind::kIoWeight, "weight"),
                                      decision(1, LimitKind::kPidsMax, "tasks"),
                                      decision(1, LimitKind::kCpuWeight, "tasks"),
                                      decision(2, LimitKind::kPidsMax, "tasks")});
  ASSERT_EQ(folded.size(), 2U);
  EXPECT_EQ(folded[0].reason, "weight; tasks");
  EXPECT_FALSE(folded[0].kind);
  EXPECT_FALSE(folded[0].value);
  EXPECT_EQ(folded[1].kind, LimitKind::kPidsMax);
}

TEST(LimitWords, WhatIsNotAlikeStaysApart) {
  const Decision one = decision(1, LimitKind::kReadBytes, "reads");
  Decision other = decision(1, LimitKind::kReadOperations, "reads");
  other.incident_id = "i-1";
  EXPECT_EQ(fold_decisions({one, other}).size(), 2U);
  other = one;
  other.step = DecisionStep::kRemoved;
  EXPECT_EQ(fold_decisions({one, other}).size(), 2U);
  other = one;
  other.dry_run = true;
  EXPECT_EQ(fold_decisions({one, other}).size(), 2U);
  other.vm.reset();
  EXPECT_EQ(fold_decisions({other, other}).size(), 2U);
}

}  // namespace
}  // namespace hvguard
