#include "observe/vm_cgroup.h"

#include <array>
#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/time.h"
#include "observe/vm_topology.h"
#include "tree.h"

namespace hvguard::observe {
namespace {

using test::Tree;

std::uint64_t inode(const std::string& path) {
  struct stat status{};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return status.st_ino;
}

class VmCgroupTest : public ::testing::Test {
 protected:
  VmCgroupTest() {
    tree_.add_host();
    tree_.add_cgroup("/vm.scope", "");
    tree_.add_cgroup("/vm.scope/libvirt", "");
    tree_.add_cgroup("/vm.scope/libvirt/emulator", "100\n");
    root_.emplace(HostRoot::open(tree_.root()).value());
  }
  VmCgroup open() { return std::move(VmCgroup::open(*root_->cgroup(), "/vm.scope").value()); }

  Tree tree_;
  std::optional<HostRoot> root_;
  std::array<char, 65536> buffer_{};
};

TEST_F(VmCgroupTest, ReadsEachFile) {
  auto cgroup = open();
  EXPECT_EQ(cgroup.id().value, inode(tree_.path("cgroup/vm.scope")));
  const auto reading = cgroup.read(buffer_, true);
  ASSERT_TRUE(reading);
  EXPECT_EQ(reading->cpu_microseconds, Counter{5000});
  EXPECT_EQ(reading->memory_bytes, 1048576U);
  EXPECT_EQ(reading->swap_bytes, 4096U);
  EXPECT_FALSE(reading->memory_high_bytes) << "max";
  EXPECT_EQ(reading->memory_max_bytes, 2097152U);
  EXPECT_EQ(reading->pids_count, 7U);
  EXPECT_FALSE(reading->pids_max) << "max";
  ASSERT_TRUE(reading->io_pressure);
  EXPECT_EQ(reading->io_pressure->some_microseconds, Counter{10});
  EXPECT_EQ(reading->io_pressure->full_microseconds, Counter{5});
}

TEST_F(VmCgroupTest, MissingControllersAreAbsent) {
  for (const auto* const name : {"memory.current", "memory.max", "pids.current", "io.pressure"}) {
    tree_.remove(std::string("cgroup/vm.scope/") + name);
  }
  tree_.file("cgroup/vm.scope/cgroup.controllers", "cpu io\n");
  auto cgroup = open();
  const auto reading = cgroup.read(buffer_, true);
  ASSERT_TRUE(reading);
  EXPECT_FALSE(reading->memory_bytes);
  EXPECT_FALSE(reading->memory_max_bytes);
  EXPECT_FALSE(reading->pids_count);
  EXPECT_FALSE(reading->io_pressure);
  EXPECT_TRUE(reading->cpu_pressure);
  const auto tree = cgroup.read_tree(buffer_, 100);
  ASSERT_TRUE(tree);
  EXPECT_EQ(tree->missing_controllers, (std::vector<std::string>{"memory", "pids"}));
}

TEST_F(VmCgroupTest, SettingsAreCarriedBetweenTheirReads) {
  auto cgroup = open();
  EXPECT_EQ(cgroup.read(buffer_, true)->memory_max_bytes, 2097152U);
  tree_.file("cgroup/vm.scope/memory.max", "4096\n");
  EXPECT_EQ(cgroup.read(buffer_, false)->memory_max_bytes, 2097152U);
  EXPECT_EQ(cgroup.read(buffer_, true)->memory_max_bytes, 4096U);
}

TEST_F(VmCgroupTest, TreeIsTheUnitAndAllBelow) {
  const auto cgroup = open();
  const auto tree = cgroup.read_tree(buffer_, 100);
  ASSERT_TRUE(tree);
  ASSERT_EQ(tree->ids.size(), 3U);
  EXPECT_EQ(tree->ids[0], cgroup.id());
  EXPECT_EQ(tree->ids[2].value, inode(tree_.path("cgroup/vm.scope/libvirt/emulator")));
  EXPECT_EQ(tree->pids, (std::vector<Pid>{100}));
  EXPECT_TRUE(tree->missing_controllers.empty());
  EXPECT_FALSE(tree->truncated);
}

TEST_F(VmCgroupTest, TreeIsBounded) {
  for (int i = 0; i < 80; ++i) {
    tree_.file("cgroup/vm.scope/c" + std::to_string(i) + "/cgroup.procs", "1\n2\n");
  }
  const auto tree = open().read_tree(buffer_, 50);
  ASSERT_TRUE(tree);
  EXPECT_EQ(tree->ids.size(), kMaxVmCgroups);
  EXPECT_EQ(tree->pids.size(), 50U);
  EXPECT_TRUE(tree->truncated);
}

TEST_F(VmCgroupTest, IoStat) {
  auto lines = open().read_io(buffer_);
  ASSERT_TRUE(lines);
  ASSERT_EQ(lines->size(), 1U);
  EXPECT_EQ(lines->front().write_bytes.value, 8192U);
  tree_.remove("cgroup/vm.scope/io.stat");
  EXPECT_FALSE(open().read_io(buffer_));
}

TEST_F(VmCgroupTest, NoSuchCgroupIsGone) {
  const auto cgroup = VmCgroup::open(*root_->cgroup(), "/nothing");
  ASSERT_FALSE(cgroup);
  EXPECT_EQ(cgroup.error().code, Errc::kGone);
}

// The kernel answers ENODEV on a kept descriptor of a removed cgroup; no plain file does that, so
// this one needs a real cgroup.
TEST(VmCgroupLive, RemovedCgroupIsGone) {
  const auto root = HostRoot::open("/");
  ASSERT_TRUE(root);
  if (root->cgroup() == nullptr) {
    return;  // a host without cgroup v2 has nothing to tell here
  }
  const std::string name = "hvguard-test-" + std::to_string(::getpid());
  ASSERT_EQ(::mkdirat(root->cgroup()->get(), name.c_str(), 0755), 0) << "needs root";
  auto cgroup = VmCgroup::open(*root->cgroup(), "/" + name);
  std::array<char, 65536> buffer{};
  const bool readable = cgroup && cgroup->read(buffer, true);
  ASSERT_EQ(::unlinkat(root->cgroup()->get(), name.c_str(), AT_REMOVEDIR), 0);
  ASSERT_TRUE(readable);
  const auto reading = cgroup->read(buffer, true);
  ASSERT_FALSE(reading);
  EXPECT_EQ(reading.error().code, Errc::kGone) << reading.error().message;
}

TEST_F(VmCgroupTest, TopologyJudgesWhoElseIsThere) {
  tree_.file("cgroup/vm.scope/libvirt/emulator/cgroup.procs", "100\n101\n102\n103\n104\n105\n");
  tree_.add_process({.pid = 101, .comm = "swtpm"});
  tree_.add_process({.pid = 102, .comm = "kvm-pit/100", .kernel_thread = true});
  tree_.add_process({.pid = 103, .comm = "nginx"});
  tree_.add_process({.pid = 104, .comm = "gone", .state = 'Z'});
  TopologyPass pass(*root_, [](Pid pid) { return pid == 100 || pid == 105; });
  const auto cgroup = open();
  const auto view = pass.look(cgroup, 100, buffer_);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->topology.foreign_process_count, 1U) << "nginx alone";
  EXPECT_EQ(view->topology.other_vm_count, 1U);
  EXPECT_TRUE(view->holds_manager);
  EXPECT_EQ(view->cgroups.size(), 3U);
  EXPECT_FALSE(pass.look(cgroup, 999, buffer_)->holds_manager);
}

}  // namespace
}  // namespace hvguard::observe
