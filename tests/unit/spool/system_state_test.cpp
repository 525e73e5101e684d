#include "spool/system_state.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include "fake_bus.h"
#include "temp_dir.h"

namespace hvguard::spool {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(SystemState, IsSystemdsOwnWord) {
  for (const auto& [state, stopping] :
       {std::pair("stopping", true), std::pair("running", false), std::pair("degraded", false)}) {
    const test::TempDir dir;
    const test::FakeBus bus(dir.file("bus"), state);
    const auto answer = system_is_stopping(boot_time_now() + seconds(10));
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(*answer, stopping) << state;
  }
}

TEST(SystemState, ABusThatSaysNothingIsNotWaitedFor) {
  const test::TempDir dir;
  const test::FakeBus bus(dir.file("bus"), "");
  const BootTime start = boot_time_now();
  const auto answer = system_is_stopping(start + milliseconds(200));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::kTimeout);
  EXPECT_LT(boot_time_now() - start, seconds(5));
}

TEST(SystemState, NoBusIsAnError) {
  ::setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere/bus", 1);
  EXPECT_FALSE(system_is_stopping(boot_time_now() + milliseconds(200)));
  ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
}

}  // namespace
}  // namespace hvguard::spool
