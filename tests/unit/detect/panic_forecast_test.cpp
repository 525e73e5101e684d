#include "detect/panic_forecast.h"

#include <gtest/gtest.h>

#include "host/host.h"

namespace hvguard {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::Host;

const std::vector<std::string> kFrozen = {"percpu_rwsem_wait", "vfs_write"};

class Forecast {
 public:
  Host host;

  PanicForecastResult after(int seconds_later) {
    for (int i = 0; i < seconds_later; ++i) {
      host.advance(seconds(1));
      const auto snapshot = host.snapshot();
      facts_.jiffies_per_second = hz;
      last_ = detect_panic_forecast(PanicForecastConfig(),
                                    seconds(10),
                                    state_,
                                    *snapshot,
                                    facts_,
                                    track_blocked_tasks(tasks_, *snapshot, facts_));
    }
    return last_;
  }
  std::optional<std::uint32_t> hz = 250;

 private:
  Facts facts_;
  BlockedTasksState tasks_;
  PanicForecastState state_;
  PanicForecastResult last_;
};

const PanicForecastEvidence& evidence(const PanicForecastResult& result) {
  return std::get<PanicForecastEvidence>(result.finding->evidence);
}

TEST(PanicForecast, NamesTheScanThatPanics) {
  Forecast forecast;
  forecast.host.set_sysctls(20, 0, 1);
  forecast.after(25);  // sees khungtaskd run once
  forecast.host.block(7, BlockedClass::kHard, kFrozen);
  EXPECT_FALSE(forecast.after(4).finding.has_value());  // under a quarter of the timeout
  const auto found = forecast.after(2);
  ASSERT_TRUE(found.finding.has_value());
  const PanicForecastEvidence said = evidence(found);
  EXPECT_EQ(said.timeout_seconds, 20U);
  EXPECT_EQ(said.scan_period, milliseconds(20'480));
  EXPECT_TRUE(said.phase_known);
  EXPECT_FALSE(said.upper_bound);
  EXPECT_EQ(found.finding->severity, Severity::kCritical);
  forecast.host.advance(seconds(60));
  const BootTime panic = forecast.host.boot_time_of(*forecast.host.khungtaskd().panicked_at());
  EXPECT_LE(said.earliest, panic);
  EXPECT_LE(panic, said.latest);
}

TEST(PanicForecast, OffMeansNone) {
  Forecast forecast;
  forecast.host.set_sysctls(20, 0, 0);
  forecast.host.block(7, BlockedClass::kHard, kFrozen);
  EXPECT_FALSE(forecast.after(30).finding.has_value());
  Forecast no_timeout;
  no_timeout.host.set_sysctls(0, 0, 1);
  no_timeout.host.block(7, BlockedClass::kHard, kFrozen);
  EXPECT_FALSE(no_timeout.after(30).finding.has_value());
}

TEST(PanicForecast, FarPanicsWaitForTheirTime) {
  Forecast forecast;
  forecast.host.set_sysctls(300, 0, 1);
  forecast.host.block(7, BlockedClass::kHard, kFrozen);
  EXPECT_FALSE(forecast.after(30).finding.has_value());
}

TEST(PanicForecast, CountsNeedThatManyTasks) {
  Forecast forecast;
  forecast.host.set_sysctls(20, 0, 3);
  forecast.host.block(7, BlockedClass::kHard, kFrozen);
  forecast.host.block(8, BlockedClass::kHard, kFrozen);
  forecast.host.block(9, BlockedClass::kKillable, kFrozen);
  EXPECT_FALSE(forecast.after(30).finding.has_value());
  forecast.host.block(10, BlockedClass::kHard, kFrozen);
  const auto found = forecast.after(6);
  ASSERT_TRUE(found.finding.has_value());
  EXPECT_EQ(evidence(found).tasks_needed, 3U);
  EXPECT_EQ(evidence(found).tasks.size(), 3U);
}

TEST(PanicForecast, TasksThatWakeThemselvesNeverFire) {
  Forecast forecast;
  forecast.host.set_sysctls(20, 0, 1);
  forecast.host.block(7, BlockedClass::kHard, {"submit_bio_wait", "blkdev_direct_IO"});
  forecast.host.set_wakes(7, seconds(10));
  for (int i = 0; i < 100; ++i) {
    EXPECT_FALSE(forecast.after(1).finding.has_value()) << i;
  }
  EXPECT_FALSE(forecast.host.khungtaskd().panicked_at().has_value());
}

TEST(PanicForecast, AShortCheckCountIsLessSure) {
  Forecast forecast;
  forecast.host.set_sysctls(20, 0, 1);
  forecast.host.set_check_count(100);  // of 1000 tasks
  forecast.host.block(7, BlockedClass::kHard, kFrozen);
  const auto found = forecast.after(6);
  ASSERT_TRUE(found.finding.has_value());
  EXPECT_TRUE(evidence(found).scan_cut_short);
  EXPECT_EQ(found.finding->severity, Severity::kWarning);
}

TEST(PanicForecast, IsSilentUntilTheTimerFrequencyIsKnown) {
  Forecast forecast;
  forecast.hz.reset();
  forecast.host.set_sysctls(20, 0, 1);
  forecast.host.block(7, BlockedClass::kHard, kFrozen);
  const auto unknown = forecast.after(10);
  EXPECT_FALSE(unknown.finding.has_value());
  EXPECT_FALSE(unknown.known);
  forecast.hz = 250;
  EXPECT_TRUE(forecast.after(1).finding.has_value());
  forecast.hz.reset();  // stays known
  EXPECT_TRUE(forecast.after(1).finding.has_value());
}

TEST(PanicForecast, ProcAloneGivesAnUpperBound) {
  Forecast forecast;
  forecast.hz.reset();
  forecast.host.set_proc_only(true);
  forecast.host.set_sysctls(20, 0, 1);
  forecast.host.block(7, BlockedClass::kHard, kFrozen);
  const auto found = forecast.after(6);
  ASSERT_TRUE(found.finding.has_value());
  EXPECT_TRUE(evidence(found).upper_bound);
  EXPECT_FALSE(evidence(found).phase_known);
  EXPECT_EQ(found.finding->severity, Severity::kWarning);
}

TEST(PanicForecast, ReadingsThatJitterAreOneStatement) {
  Forecast forecast;
  forecast.host.set_sysctls(20, 0, 1);
  forecast.host.block(7, BlockedClass::kHard, kFrozen);
  const auto first = forecast.after(6);
  ASSERT_TRUE(first.finding.has_value());
  forecast.host.advance(Nanoseconds(1'234'567));
  const auto second = forecast.after(1);
  EXPECT_EQ(evidence(first).earliest, evidence(second).earliest);
  EXPECT_EQ(evidence(first).latest, evidence(second).latest);
}

}  // namespace
}  // namespace hvguard
