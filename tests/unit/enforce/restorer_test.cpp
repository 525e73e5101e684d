// The real helper and a real guard process that is killed: at whatever moment, the tree is again
// what it was.
#include <array>
#include <chrono>
#include <csignal>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup_fixture.h"
#include "enforce/limits_client.h"

namespace hvguard::enforce {
namespace {

using namespace std::chrono_literals;
using test::CgroupFixture;

template <class Done>
bool wait_for(Nanoseconds limit, Done done) {
  const BootTime end = boot_time_now() + limit;
  while (!done()) {
    if (boot_time_now() >= end) {
      return done();
    }
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

pid_t start(std::vector<std::string> words) {
  std::vector<char*> pointers;
  for (std::string& word : words) {
    pointers.push_back(word.data());
  }
  pointers.push_back(nullptr);
  pid_t pid = 0;
  return ::posix_spawn(&pid, pointers[0], nullptr, nullptr, pointers.data(), environ) == 0 ? pid
                                                                                           : -1;
}

int ended_with(pid_t pid) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  return status;
}

// A process that does not outlive the test, however that ends.
class Killed {
 public:
  explicit Killed(pid_t pid) : pid_(pid) {}
  ~Killed() { kill(); }
  Killed(const Killed&) = delete;
  Killed& operator=(const Killed&) = delete;
  [[nodiscard]] pid_t pid() const { return pid_; }
  void kill() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ended_with(std::exchange(pid_, -1));
    }
  }

 private:
  pid_t pid_;
};

class RestorerTest : public testing::Test {
 protected:
  RestorerTest() {
    for (const std::string& path : paths_) {
      fixture_.add(path);
    }
    fixture_.write(paths_[0], "cpu.max", "250000 50000\n");
    fixture_.write(paths_[1], "io.max", "8:0 rbps=max riops=max wbps=9 wiops=max\n");
    for (const std::string& path : paths_) {
      for (const auto kind : kinds_) {
        baseline_[{path, kind}] = value(path, kind);
      }
    }
  }
  SettingValue value(const std::string& path, LimitKind kind) const {
    return fixture_.value(path, {kind, is_per_device(kind) ? test::kDisk : DeviceId{}});
  }
  bool is_baseline() const {
    for (const auto& [place, expected] : baseline_) {
      if (value(place.first, place.second) != expected) {
        return false;
      }
    }
    return true;
  }
  pid_t start_guard(unsigned seed) const {
    std::vector<std::string> words = {HVGUARD_LIMITED_GUARD,
                                      HVGUARD_LIMITS,
                                      fixture_.runtime(),
                                      fixture_.mount(),
                                      std::to_string(seed)};
    words.insert(words.end(), paths_.begin(), paths_.end());
    return start(words);
  }
  int restore_by_hand() const {
    return ended_with(start({HVGUARD_LIMITS,
                             "restore",
                             "--runtime-dir",
                             fixture_.runtime(),
                             "--cgroup-root",
                             fixture_.mount()}));
  }

  CgroupFixture fixture_;
  std::vector<std::string> paths_ = {"/a.slice/one", "/a.slice/two", "/three with blanks"};
  std::vector<LimitKind> kinds_ = {LimitKind::kReadBytes,
                                   LimitKind::kReadOperations,
                                   LimitKind::kWriteBytes,
                                   LimitKind::kMemoryHigh,
                                   LimitKind::kCpuMax,
                                   LimitKind::kPidsMax};
  std::map<std::pair<std::string, LimitKind>, SettingValue> baseline_;
};

TEST_F(RestorerTest, AfterSixtyKillsAtRandomMomentsNothingIsLeft) {
  std::mt19937 random(4711);
  int limited = 0;
  for (unsigned round = 0; round < 60; ++round) {
    Killed guard(start_guard(round));
    ASSERT_GT(guard.pid(), 0);
    if (round % 4 != 0) {  // else it is killed while it starts
      ASSERT_TRUE(wait_for(60s, [this] { return !is_baseline(); })) << round;
      ++limited;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 30'000));
    guard.kill();
    EXPECT_TRUE(wait_for(60s, [this] { return is_baseline() && !fixture_.has_journal(); }))
        << "round " << round;
    // No writer and no restorer is left: nothing comes after.
    const auto folder = *DirFd::open(fixture_.runtime());
    ASSERT_TRUE(wait_for(60s, [&] { return lock_journal(folder, LOCK_EX | LOCK_NB).has_value(); }));
    EXPECT_TRUE(is_baseline() && !fixture_.has_journal()) << "round " << round;
  }
  EXPECT_EQ(limited, 45);
}

TEST_F(RestorerTest, ByHandItTakesTheLimitsBackFromAGuardThatHangs) {
  Killed guard(start_guard(1));
  ASSERT_TRUE(wait_for(60s, [this] { return !is_baseline(); }));
  ::kill(guard.pid(), SIGSTOP);
  // A write that was under way is the helper's: it is done before the helper waits for the next.
  EXPECT_TRUE(wait_for(60s, [this] { return restore_by_hand() == 0 && is_baseline(); }));
  EXPECT_TRUE(fixture_.has_journal()) << "that is the guard's";
  guard.kill();
  EXPECT_TRUE(wait_for(60s, [this] { return is_baseline() && !fixture_.has_journal(); }));
}

TEST_F(RestorerTest, ByHandWithoutAJournalThereIsNothingToDo) {
  EXPECT_EQ(restore_by_hand(), 0);
}

TEST_F(RestorerTest, ADamagedJournalIsRestoredAsFarAsItCanBeReadAndKept) {
  const CgroupId id = fixture_.add("/vm");
  fixture_.write("/vm", "pids.max", "4096\n");
  const auto folder = *DirFd::open(fixture_.runtime());
  const LeaseRecord record{.vm = test::vm_number(1),
                           .unit = "",
                           .cgroup_path = "/vm",
                           .cgroup = id,
                           .key = test::kPids,
                           .earlier = 16384,
                           .ours = {4096}};
  const std::string text = "rubbish\n" + encode_record(record) + "deadbeef cut";
  ASSERT_TRUE(
      replace_file_at(folder.get(), std::string(kJournalName), text, 0600, Durability::kMemory));
  EXPECT_EQ(WEXITSTATUS(restore_by_hand()), 1);
  EXPECT_EQ(fixture_.value("/vm", test::kPids), SettingValue(16384));
  EXPECT_TRUE(std::filesystem::exists(fixture_.runtime() + "/limits.journal.bad"));
  EXPECT_EQ(restore_by_hand(), 0) << "once";
}

// The watching end of it, with a guard that lives and says nothing.
TEST_F(RestorerTest, SilenceOfTheGuardEndsTheLease) {
  const CgroupId id = fixture_.add("/vm");
  const auto folder = *DirFd::open(fixture_.runtime());
  LeaseJournal journal(folder, "");
  ASSERT_TRUE(journal.put(std::vector{LeaseRecord{.vm = test::vm_number(1),
                                                  .unit = "",
                                                  .cgroup_path = "/vm",
                                                  .cgroup = id,
                                                  .key = test::kPids,
                                                  .earlier = 16384,
                                                  .ours = {4096}}}));
  fixture_.write("/vm", "pids.max", "4096\n");
  HelperProcess watch(HVGUARD_LIMITS,
                      {"watch",
                       "--runtime-dir",
                       fixture_.runtime(),
                       "--cgroup-root",
                       fixture_.mount(),
                       "--lease",
                       "0.05"});
  ASSERT_TRUE(watch.start());
  EXPECT_TRUE(
      wait_for(60s, [this] { return fixture_.value("/vm", test::kPids) == SettingValue(16384); }));
}

// A shell script in place of hvguard-limits.
std::string stand_in(const CgroupFixture& fixture, const std::string& body) {
  const std::string path = fixture.runtime() + "/stand-in";
  std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
  ::chmod(path.c_str(), 0755);
  return path;
}

class LimitsClientTest : public testing::Test {
 protected:
  std::vector<std::string> arguments() const {
    return {"--runtime-dir", fixture_.runtime(), "--cgroup-root", fixture_.mount()};
  }
  LimitsRequest write_pids(std::uint64_t value) const {
    return {0, LimitsOperation::kWrite, "/vm", id_, {{test::kPids, value}}};
  }
  void ask(LimitsClient& client, std::uint64_t value, BootTime now) {
    client.request(write_pids(value), now, [this](Result<LimitsAnswer> answer) {
      answers_.push_back(std::move(answer));
    });
  }

  CgroupFixture fixture_;
  CgroupId id_ = fixture_.add("/vm");
  std::vector<Result<LimitsAnswer>> answers_;
};

TEST_F(LimitsClientTest, WritesAndReadsBackInOrder) {
  LimitsClient client(HVGUARD_LIMITS, arguments());
  const BootTime now = boot_time_now();  // stands still: a slow machine misses no deadline
  ask(client, 4096, now);
  ask(client, 2048, now);
  ASSERT_TRUE(wait_for(60s, [&] {
    client.run(now);
    return answers_.size() == 2;
  }));
  ASSERT_TRUE(answers_[0]) << answers_[0].error().message;
  EXPECT_EQ(answers_[0]->results.at(0).value, SettingValue(4096));
  EXPECT_EQ(answers_[1]->results.at(0).value, SettingValue(2048));
  EXPECT_TRUE(client.idle());
}

TEST_F(LimitsClientTest, OneThatHangsIsKilledAndAnotherServesTheNext) {
  const std::string once = fixture_.runtime() + "/once";
  LimitsClient client(
      stand_in(fixture_,
               "if mkdir " + once + " 2>/dev/null; then exec sleep 1000; fi\nexec " +
                   HVGUARD_LIMITS + " \"$@\""),
      arguments());
  BootTime now = boot_time_now();
  ask(client, 4096, now);
  ASSERT_TRUE(wait_for(60s, [&] { return std::filesystem::exists(once); }));
  now = now + kLeverDeadline;
  client.run(now);
  ASSERT_EQ(answers_.size(), 1U);
  EXPECT_EQ(answers_[0].error().code, Errc::kTimeout);
  EXPECT_EQ(client.killed_count(), 1U);
  ask(client, 4096, now);
  ASSERT_EQ(answers_.size(), 2U) << "not before the back-off is over";
  EXPECT_EQ(answers_[1].error().code, Errc::kUnavailable);
  now = now + 1s;
  ask(client, 4096, now);
  ASSERT_TRUE(wait_for(60s, [&] {
    client.run(now);
    return answers_.size() == 3;
  }));
  EXPECT_TRUE(answers_[2]) << answers_[2].error().message;
}

TEST_F(LimitsClientTest, OneThatCannotBeStartedSaysWhy) {
  LimitsClient client(fixture_.runtime() + "/nothing", arguments());
  const BootTime now = boot_time_now();
  ask(client, 4096, now);
  ASSERT_TRUE(wait_for(60s, [&] {
    client.run(now);
    return answers_.size() == 1;
  }));
  EXPECT_NE(answers_[0].error().message.find("No such file"), std::string::npos);
}

TEST_F(LimitsClientTest, ARestorerAtWorkKeepsWritersAway) {
  const auto folder = *DirFd::open(fixture_.runtime());
  const auto restorer = lock_journal(folder, LOCK_EX | LOCK_NB);
  LimitsClient client(HVGUARD_LIMITS, arguments());
  const BootTime now = boot_time_now();
  ask(client, 4096, now);
  ASSERT_TRUE(wait_for(60s, [&] {
    client.run(now);
    return answers_.size() == 1;
  }));
  EXPECT_FALSE(answers_[0]);
  EXPECT_EQ(fixture_.value("/vm", test::kPids), SettingValue(16384));
}

}  // namespace
}  // namespace hvguard::enforce
