#include "observe/task_scan.h"

#include <array>

#include <gtest/gtest.h>

#include "tree.h"

namespace hvguard::observe {
namespace {

using test::Tree;

TaskScan scan(const Tree& tree) {
  const auto root = HostRoot::open(tree.root());
  std::array<char, 65536> buffer{};
  return std::move(scan_tasks(root.value(), buffer, BootTime{std::chrono::seconds(3)}).value());
}

TEST(TaskScan, TellsWhatProcTellsAndNoMore) {
  const Tree tree;
  tree.add_host();
  tree.add_process({.pid = 10, .comm = "sleep"});
  tree.add_process({.pid = 11, .comm = "dd) D (x", .state = 'D'});
  tree.add_process({.pid = 12, .comm = "kworker/u8:1", .state = 'D', .kernel_thread = true});
  tree.add_process({.pid = 13, .comm = "rcu_gp", .state = 'I', .kernel_thread = true});
  auto found = scan(tree);
  EXPECT_EQ(found.pass.pass_time, BootTime{std::chrono::seconds(3)});
  EXPECT_EQ(found.pass.seen_count, 4U);
  EXPECT_FALSE(found.pass.hard_count) << "/proc cannot tell hard from killable";
  ASSERT_EQ(found.pass.blocked.size(), 2U);
  auto& blocked = found.pass.blocked;
  std::sort(blocked.begin(), blocked.end(), [](auto& a, auto& b) { return a.tgid < b.tgid; });
  EXPECT_EQ(blocked[0].id.tid, 11);
  EXPECT_EQ(blocked[0].comm, "dd) D (x");
  EXPECT_EQ(blocked[0].blocked_class, BlockedClass::kUnknown);
  EXPECT_FALSE(blocked[0].off_cpu_since);
  EXPECT_EQ(blocked[0].switch_count, 42U);
  EXPECT_FALSE(blocked[0].kernel_thread);
  EXPECT_TRUE(blocked[1].kernel_thread);
}

TEST(TaskScan, LooksAtEveryThread) {
  const Tree tree;
  tree.add_host();
  const auto status = [](char state, Pid tid) {
    return "Name:\tCPU 0/KVM\nState:\t" + std::string(1, state) + " (x)\nTgid:\t20\nPid:\t" +
           std::to_string(tid) + "\nVmSize:\t1 kB\nThreads:\t3\n";
  };
  tree.file("proc/20/status", status('S', 20));
  tree.file("proc/20/task/20/status", status('S', 20));
  tree.file("proc/20/task/21/status", status('D', 21));
  tree.directory("proc/20/task/22");  // ended between the listing and its read
  const auto found = scan(tree);
  EXPECT_EQ(found.pass.seen_count, 2U);
  ASSERT_EQ(found.pass.blocked.size(), 1U);
  EXPECT_EQ(found.pass.blocked[0].id.tid, 21);
  EXPECT_EQ(found.pass.blocked[0].tgid, 20);
}

TEST(TaskScan, ProcessesThatVanishAreNothing) {
  const Tree tree;
  tree.add_host();
  tree.directory("proc/30");
  tree.file("proc/31/status", "");
  tree.file("proc/32/status", "Name:\tcut off in the mid");
  EXPECT_EQ(scan(tree).pass.seen_count, 0U);
  EXPECT_EQ(scan(tree).dropped_count, 0U);
}

TEST(TaskScan, BlockedTasksAreBounded) {
  const Tree tree;
  tree.add_host();
  tree.file("proc/blocked/status", "State:\tD\nTgid:\t1\nPid:\t1\n");
  for (Pid pid = 100; pid < 100 + static_cast<Pid>(kMaxBlockedTasks) + 5; ++pid) {
    tree.link("proc/" + std::to_string(pid), "blocked");  // cheaper than so many directories
  }
  const auto found = scan(tree);
  EXPECT_EQ(found.pass.blocked.size(), kMaxBlockedTasks);
  EXPECT_EQ(found.dropped_count, 5U);
}

TEST(TaskScan, OnThisMachine) {
  const auto root = HostRoot::open("/");
  std::array<char, 65536> buffer{};
  const auto found = scan_tasks(root.value(), buffer, boot_time_now());
  ASSERT_TRUE(found);
  EXPECT_GT(found->pass.seen_count, 1U);
}

}  // namespace
}  // namespace hvguard::observe
