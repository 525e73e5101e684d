#include "decide/pipeline.h"

#include <chrono>

#include <gtest/gtest.h>

#include "host/host.h"

namespace hvguard {
namespace {

using std::chrono::seconds;
using test::Host;
using test::IoMotion;

TEST(Pipeline, ALateSamplerBeforeTheFirstSnapshotIsSaid) {
  Pipeline pipeline{Config()};
  const TickResult result =
      pipeline.sampler_late(BootTime{seconds(5)}, WallTime(), "task iterator");
  EXPECT_EQ(result.snapshot, nullptr);
  ASSERT_EQ(result.changes.size(), 1U);
  EXPECT_EQ(result.changes[0].incident.subject.key, "sampler");
  EXPECT_EQ(result.conditions.size(), kConditionKindCount);
  EXPECT_EQ(result.schedule_advice.schedulable, Schedulable::kUnknown);
}

TEST(Pipeline, ConfigurationHoldsFromTheNextStep) {
  Host host;
  host.block(7, BlockedClass::kHard, {"percpu_rwsem_wait", "vfs_write"});
  Config config;
  Pipeline pipeline(config);
  host.advance(seconds(5));
  EXPECT_TRUE(pipeline.step(host.snapshot()).changes.empty());
  config.hung_task.open_after = seconds(3);
  pipeline.set_config(config);
  host.advance(seconds(1));
  EXPECT_EQ(pipeline.step(host.snapshot()).changes.size(), 1U);
}

// The hardest tick the bounds allow, with room for slow machines: it takes about 8 ms here.
TEST(Pipeline, TheLargestTickStaysQuick) {
  Host host;
  host.set_sysctls(120, 0, 1);
  for (Pid pid = 1; pid <= 1000; ++pid) {
    const VmId vm = host.add_vm("vm" + std::to_string(pid), pid);
    for (std::uint32_t device = 0; device < 4; ++device) {
      host.set_io(vm, {8, device}, pid % 7 == 0 ? IoMotion::kStuck : IoMotion::kMoving);
    }
  }
  for (std::uint32_t device = 0; device < 4; ++device) {
    DeviceReading reading;
    reading.id = {8, device};
    reading.name = "sd" + std::to_string(device);
    host.devices().push_back(reading);
  }
  for (Pid i = 0; i < static_cast<Pid>(kMaxBlockedTasks); ++i) {
    auto& sleeper = host.block(10'000 + i,
                               BlockedClass::kHard,
                               {"function_" + std::to_string(i % 300),
                                "filemap_read",
                                "ext4_file_read_iter",
                                "vfs_read",
                                "ksys_read",
                                "do_syscall_64",
                                "entry_SYSCALL_64_after_hwframe"});
    sleeper.task.tgid = 1 + i % 1000;
  }
  Pipeline pipeline{Config()};
  std::chrono::steady_clock::duration longest{0};
  std::size_t open = 0;
  for (int tick = 0; tick < 15; ++tick) {
    const auto snapshot = host.snapshot();
    const auto start = std::chrono::steady_clock::now();
    const TickResult result = pipeline.step(snapshot);
    longest = std::max(longest, std::chrono::steady_clock::now() - start);
    open = result.incidents.size();
    host.advance(seconds(1));
  }
  EXPECT_GT(open, 300U);
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(longest).count();
  RecordProperty("longest_tick_ms", static_cast<int>(milliseconds));
  EXPECT_LT(milliseconds, 250);
}

}  // namespace
}  // namespace hvguard
