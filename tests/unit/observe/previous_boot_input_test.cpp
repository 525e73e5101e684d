#include "observe/previous_boot_input.h"

#include <gtest/gtest.h>

namespace hvguard::observe {
namespace {

using std::chrono::seconds;

class PreviousBootInputTest : public ::testing::Test {
 protected:
  const SourceStatus& at(int boot_seconds) {
    const BootTime now{seconds(boot_seconds)};
    snapshot_ = Snapshot();
    book_.begin_tick(now);
    input.fill(now, snapshot_, book_);
    book_.fill(snapshot_);
    return snapshot_.source(Source::kPreviousBoot);
  }
  void tell(BootState state, const std::string& record_error = "") {
    SpoolReport report;
    report.previous_boot.state = state;
    report.previous_boot.last_seen = WallTime{seconds(1'700'000'000)};
    report.previous_boot.detail = "its checksum is wrong";
    report.record_error = record_error;
    input.set(report);
  }

  PreviousBootInput input;
  Snapshot snapshot_;
  SourceBook book_;
};

TEST_F(PreviousBootInputTest, SilenceIsUnknownAndThenBlind) {
  EXPECT_EQ(at(1000).state, SourceState::kUnknown);
  EXPECT_EQ(at(1059).state, SourceState::kUnknown);
  EXPECT_EQ(at(1060).state, SourceState::kBlind);
  EXPECT_NE(at(1061).detail.find("systemctl status hvguard-spool"), std::string::npos);
  EXPECT_FALSE(snapshot_.previous_boot);
  tell(BootState::kShutdown);
  EXPECT_EQ(at(1062).state, SourceState::kOk);
  EXPECT_EQ(at(1062).last_good, BootTime{seconds(1062)});
  ASSERT_TRUE(snapshot_.previous_boot);
  EXPECT_EQ(snapshot_.previous_boot->state, BootState::kShutdown);
}

TEST_F(PreviousBootInputTest, WhatIsKnownIsKnown) {
  for (const BootState state : {BootState::kNoRecord, BootState::kRunning, BootState::kShutdown}) {
    tell(state);
    EXPECT_EQ(at(1000).state, SourceState::kOk);
  }
}

TEST_F(PreviousBootInputTest, AStoppedSpoolAndADamagedRecordKnowNothing) {
  tell(BootState::kStopped);
  EXPECT_EQ(at(1000).state, SourceState::kUnknown);
  EXPECT_EQ(at(1000).detail,
            "hvguard-spool was stopped at 2023-11-14 22:13:20 UTC and did not see how the boot "
            "before this one ended");
  tell(BootState::kUnreadable);
  EXPECT_EQ(at(1000).state, SourceState::kUnknown);
  EXPECT_NE(at(1000).detail.find("its checksum is wrong"), std::string::npos);
}

TEST_F(PreviousBootInputTest, ARecordThatCannotBeWrittenIsDegraded) {
  tell(BootState::kRunning, "create boot-record.new: No space left on device");
  EXPECT_EQ(at(1000).state, SourceState::kDegraded);
  EXPECT_NE(at(1000).detail.find("No space left on device"), std::string::npos);
  EXPECT_TRUE(snapshot_.previous_boot) << "what was read at the start still holds";
  tell(BootState::kRunning);
  EXPECT_EQ(at(1001).state, SourceState::kOk);
}

}  // namespace
}  // namespace hvguard::observe
