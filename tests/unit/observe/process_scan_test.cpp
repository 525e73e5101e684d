#include "observe/process_scan.h"

#include <gtest/gtest.h>

#include "model/config.h"
#include "tree.h"

namespace hvguard::observe {
namespace {

using test::Tree;

TEST(MatchesComm, KnowsThatTheKernelCuts) {
  EXPECT_TRUE(matches_comm("qemu-system-*", "qemu-system-x86"));
  EXPECT_TRUE(matches_comm("cloud-hypervisor", "cloud-hyperviso"));
  EXPECT_TRUE(matches_comm("*-hypervisor", "cloud-hyperviso"));
  EXPECT_TRUE(matches_comm("kvm", "kvm"));
  EXPECT_FALSE(matches_comm("kvm", "kvm-pit/4711"));
  EXPECT_FALSE(matches_comm("cloud-hypervisor", "cloud-hypervi")) << "not cut: another name";
  EXPECT_FALSE(matches_comm("cloud-hypervisor", "cloud-hyperXiso"));
  EXPECT_FALSE(matches_comm("qemu-system-*", "qemu-img"));
}

TEST(ProcessScanner, LightScansReadNewNamesAFewTimes) {
  const Tree tree;
  tree.add_host();
  tree.add_process({.pid = 5, .comm = "bash"});
  tree.add_process({.pid = 6, .comm = "firecracker"});
  const auto root = HostRoot::open(tree.root());
  const VmFinderConfig config;
  ProcessScanner scanner;
  const auto count = [&](ProcessScanner::Depth depth) {
    return scanner.scan(root.value(), config.executables, depth)->matches.size();
  };
  EXPECT_EQ(count(ProcessScanner::Depth::kFull), 1U);
  tree.file("proc/5/comm", "qemu-kvm\n");  // exec
  EXPECT_EQ(count(ProcessScanner::Depth::kLight), 2U) << "still young";
  for (int i = 0; i < 5; ++i) {
    EXPECT_LE(count(ProcessScanner::Depth::kLight), 2U);
  }
  EXPECT_EQ(count(ProcessScanner::Depth::kLight), 0U) << "all read often enough";
  tree.add_process({.pid = 7, .comm = "kvm"});
  EXPECT_EQ(count(ProcessScanner::Depth::kLight), 1U);
  EXPECT_EQ(count(ProcessScanner::Depth::kFull), 3U);
}

TEST(ProcessScanner, ProcessesThatVanishAreNothing) {
  const Tree tree;
  tree.add_host();
  tree.directory("proc/44");
  const auto root = HostRoot::open(tree.root());
  ProcessScanner scanner;
  const auto scan = scanner.scan(root.value(), {"*"}, ProcessScanner::Depth::kFull);
  ASSERT_TRUE(scan);
  EXPECT_TRUE(scan->matches.empty());
  const auto comm = read_comm(root.value(), 45);
  ASSERT_FALSE(comm);
  EXPECT_EQ(comm.error().code, Errc::kGone);
}

}  // namespace
}  // namespace hvguard::observe
