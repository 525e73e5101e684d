#include "gateway/core_link.h"

#include <mutex>
#include <vector>

#include <gtest/gtest.h>

#include "fake_core.h"
#include "sample_frame.h"
#include "temp_dir.h"
#include "wait.h"

namespace hvguard::gateway {
namespace {

using test::eventually;
using test::sample_frame;

class CoreLinkTest : public ::testing::Test {
 protected:
  CoreLink::Events events() {
    CoreLink::Events events;
    events.on_mirror = [this](const auto&, BootTime) { ++mirrors; };
    events.on_time = [](BootTime) {};
    events.next_due = [] { return std::nullopt; };
    events.on_freshness = [this](bool now) { fresh = now; };
    return events;
  }

  test::TempDir dir;
  link::MirrorSlot slot;
  std::atomic<int> mirrors = 0;
  std::atomic<bool> fresh = false;
};

TEST_F(CoreLinkTest, ConnectsWhenTheGuardComesAndAgainWhenItReturns) {
  CoreLink core_link(dir.file("core.sock"), slot, events());
  ASSERT_TRUE(core_link.start());
  ASSERT_TRUE(eventually([&] { return !slot.view().link_error.empty(); }));
  EXPECT_NE(slot.view().link_error.find("is hvguardd running?"), std::string::npos);
  for (std::uint64_t tick = 1; tick <= 2; ++tick) {
    test::FakeCore core(dir.file("core.sock"));
    core.tell(sample_frame(tick, wall_time_now()));
    ASSERT_TRUE(eventually([&] {
      const auto view = slot.view();
      return view.mirror != nullptr && view.mirror->tick == tick && view.link_error.empty();
    }));
  }
}

TEST_F(CoreLinkTest, IsStaleWithoutNewReadingsEvenIfFramesCome) {
  test::FakeCore core(dir.file("core.sock"));
  const link::Frame stuck = sample_frame(1, wall_time_now());
  core.tell(stuck);
  CoreLink core_link(dir.file("core.sock"), slot, events());
  ASSERT_TRUE(core_link.start());
  ASSERT_TRUE(eventually([&] { return fresh.load(); }));
  const BootTime begun = slot.view().fresh_time;
  ASSERT_TRUE(eventually([&] {
    core.tell(stuck);  // the same observe_time again and again
    return !fresh;
  }));
  EXPECT_GE(boot_time_now() - begun, kStaleAfter);
  core.tell(sample_frame(2, wall_time_now()));
  EXPECT_TRUE(eventually([&] { return fresh.load(); }));
}

TEST_F(CoreLinkTest, SurvivesGarbageAndStopsAtOnce) {
  test::FakeCore core(dir.file("core.sock"));
  core.tell(sample_frame(1, wall_time_now()));
  CoreLink core_link(dir.file("core.sock"), slot, events());
  ASSERT_TRUE(core_link.start());
  ASSERT_TRUE(eventually([&] { return mirrors > 0; }));
  core.tell_packets({"\xff\xff\xff"});
  ASSERT_TRUE(eventually([&] { return !slot.view().link_error.empty(); }));
  const int before = mirrors;
  EXPECT_TRUE(eventually([&] { return mirrors > before; }));  // connected again
  const BootTime begun = boot_time_now();
  core_link.stop();
  EXPECT_LT(boot_time_now() - begun, std::chrono::seconds(1));
}

}  // namespace
}  // namespace hvguard::gateway
