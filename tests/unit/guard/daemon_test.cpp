// The real hvguardd, from start to stop.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon_process.h"

namespace hvguard::guard {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kQuick = "[sampler]\ninterval = \"200ms\"\n";

class DaemonTest : public testing::Test {
 protected:
  DaemonTest() {
    std::string pattern = testing::TempDir() + "hvguard-daemon-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~DaemonTest() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

TEST_F(DaemonTest, StartsTicksServesAndStops) {
  DaemonProcess daemon(folder_, kQuick);
  ASSERT_TRUE(daemon.notified("READY=1")) << daemon.errors();
  EXPECT_TRUE(daemon.notified("WATCHDOG=1", 3));
  const auto frame = daemon.frame();
  ASSERT_TRUE(frame);
  const v1::AgentStatus& agent = frame->status().agent();
  EXPECT_EQ(agent.version(), HVGUARD_VERSION);
  EXPECT_GE(agent.tick_count(), 3U);
  EXPECT_GT(agent.resident_bytes(), 0U);
  EXPECT_EQ(agent.reload_error(), "");
  EXPECT_EQ(frame->epoch(), agent.epoch());
  EXPECT_EQ(frame->status().sources_size(), 14);
  EXPECT_FALSE(frame->status().host().kernel_release().empty());
  const BootTime told = boot_time_now();
  daemon.signal(SIGTERM);
  EXPECT_TRUE(daemon.notified("STOPPING=1"));
  EXPECT_EQ(daemon.wait(), 0);
  EXPECT_LT(boot_time_now() - told, seconds(2));
  EXPECT_FALSE(std::filesystem::exists(daemon.socket_path()));
}

TEST_F(DaemonTest, ABrokenReloadKeepsTheOldConfigAndSaysSo) {
  DaemonProcess daemon(folder_, kQuick);
  ASSERT_TRUE(daemon.notified("READY=1")) << daemon.errors();
  daemon.write_config("[sampler]\ninterval = \"1h\"\n[nope]\n");
  daemon.signal(SIGHUP);
  ASSERT_TRUE(daemon.notified("RELOADING=1"));
  ASSERT_TRUE(daemon.notified("READY=1"));
  EXPECT_TRUE(daemon.notified("WATCHDOG=1", 3));  // still at 200 ms, or this would take an hour
  auto frame = daemon.frame();
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->status().agent().reload_error(),
            folder_ +
                "/hvguard.toml:2:12: 'sampler.interval': \"1h\" is out of range: 200ms to "
                "1s (and 1 more)");
  EXPECT_NE(daemon.errors().find("hvguard.toml:3:2: unknown table [nope]"), std::string::npos);
  daemon.write_config(kQuick);
  daemon.signal(SIGHUP);
  ASSERT_TRUE(daemon.notified("RELOADING=1"));
  ASSERT_TRUE(daemon.notified("READY=1"));
  EXPECT_TRUE(daemon.notified("WATCHDOG=1"));
  frame = daemon.frame();
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->status().agent().reload_error(), "");
}

TEST_F(DaemonTest, ABrokenConfigStartsNothing) {
  DaemonProcess daemon(folder_, "[sampler]\ninterval = 3\n[log]\nlevel = \"x\"\nlevl = 1\n");
  EXPECT_EQ(daemon.wait(), 2);
  const std::string config = folder_ + "/hvguard.toml";
  EXPECT_EQ(daemon.errors(),
            config + ":2:12: 'interval' in [sampler] must be text in quotes; this is 3\n" + config +
                ":4:9: 'log.level': \"x\" is no level: debug, info, warning or error\n" + config +
                ":5:1: unknown key 'levl' in [log]; did you mean 'level'?\n"
                "3 faults in the configuration\n");
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/run"));
}

TEST_F(DaemonTest, ASecondOneSaysSoAndLeavesTheFirstAlone) {
  DaemonProcess first(folder_, kQuick);
  ASSERT_TRUE(first.notified("READY=1")) << first.errors();
  const std::string other = folder_ + "/second";
  std::filesystem::create_directory(other);
  std::filesystem::create_symlink(folder_ + "/run", other + "/run");
  DaemonProcess second(other, kQuick);
  EXPECT_EQ(second.wait(), 1);
  EXPECT_NE(second.errors().find("another hvguardd (pid "), std::string::npos) << second.errors();
  EXPECT_TRUE(first.frame());
}

TEST_F(DaemonTest, ComesBackAfterKillNineWithALaterEpoch) {
  std::uint64_t epoch = 0;
  {
    DaemonProcess daemon(folder_, kQuick);
    ASSERT_TRUE(daemon.notified("READY=1")) << daemon.errors();
    epoch = daemon.frame().value().epoch();
    daemon.signal(SIGKILL);
    daemon.wait();
  }
  ASSERT_TRUE(std::filesystem::exists(folder_ + "/run/core.sock"));
  DaemonProcess daemon(folder_, kQuick);
  ASSERT_TRUE(daemon.notified("READY=1")) << daemon.errors();
  EXPECT_GT(daemon.frame().value().epoch(), epoch);
}

TEST_F(DaemonTest, HostileClientsDisturbNoTick) {
  DaemonProcess daemon(folder_, kQuick);
  ASSERT_TRUE(daemon.notified("READY=1")) << daemon.errors();
  const std::string garbage(5000, '\xff');
  const BootTime until = boot_time_now() + seconds(2);
  int attempts = 0;
  while (boot_time_now() < until) {
    const UniqueFd client = daemon.connect();
    for (int i = 0; i < 5 && client.valid(); ++i) {
      ::send(client.get(), garbage.data(), garbage.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    ++attempts;
  }
  EXPECT_GT(attempts, 100);
  EXPECT_TRUE(daemon.notified("WATCHDOG=1", 12));  // 6 for the time of the attack, and then on
  std::optional<v1::FramePart> frame;
  const BootTime patience = boot_time_now() + seconds(20);
  while (!frame && boot_time_now() < patience) {
    frame = daemon.frame();  // the flood's rest fills the backlog while the listener pauses
    ::usleep(20'000);
  }
  ASSERT_TRUE(frame);
  const v1::AgentStatus& agent = frame->status().agent();
  EXPECT_GT(agent.drops().refused_request_count(), 10U);
  EXPECT_LE(agent.skipped_tick_count(), 2U);
}

}  // namespace
}  // namespace hvguard::guard
