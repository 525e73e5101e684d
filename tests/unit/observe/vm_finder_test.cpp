#include "observe/vm_finder.h"

#include <array>
#include <string>

#include <sys/stat.h>

#include <gtest/gtest.h>

#include "tree.h"
#include "wait.h"

namespace hvguard::observe {
namespace {

using namespace std::chrono_literals;
using test::Tree;
using test::wait_for;
using test::words;

class VmFinderTest : public ::testing::Test {
 protected:
  VmFinderTest() {
    tree_.add_host();
    tree_.add_process({.pid = 1, .comm = "systemd"});
    tree_.add_cgroup("/machine.slice/web.scope", "");
    tree_.add_cgroup("/machine.slice/web.scope/libvirt/emulator", "100\n");
    tree_.add_process({.pid = 100,
                       .comm = "qemu-system-x86",
                       .executable = "/usr/bin/qemu-system-x86_64",
                       .command_line = words("qemu -name guest=web -m 1G -accel tcg"),
                       .cgroup = "/machine.slice/web.scope/libvirt/emulator",
                       .start_ticks = 500});
    probe_ = HVGUARD_PROBE;
  }

  void make() {
    root_.emplace(HostRoot::open(tree_.root()).value());
    finder_.emplace(std::move(VmFinder::make(*root_, config_, probe_).value()));
  }
  void scan() {
    finder_->begin_scan();
    finder_->scan_proc(ProcessScanner::Depth::kFull, now_);
  }
  void announce(Pid tgid, bool holds_kvm_vm) {
    Candidate candidate;
    candidate.tgid = tgid;
    candidate.holds_kvm_vm = holds_kvm_vm;
    finder_->announce(candidate, now_);
  }
  // Runs until so many VMs are shown and no probe is under way.
  bool settle(std::size_t shown) {
    return wait_for(60s, [&] {
      finder_->run(now_);
      return finder_->shown().size() == shown && !finder_->next_deadline();
    });
  }
  Snapshot read(VmFinder::ReadOptions options = {true, true}) {
    Snapshot snapshot;
    book_.begin_tick(now_);
    finder_->refresh(buffer_, now_);
    finder_->fill(snapshot, buffer_, options, book_);
    book_.fill(snapshot);
    return snapshot;
  }
  void hang_the_probe() {
    tree_.file("probe", "#!/bin/sh\nexec sleep 1000\n");
    ::chmod(tree_.path("probe").c_str(), 0755);
    probe_ = tree_.path("probe");
    config_.probe_timeout = 200ms;
  }

  // Stands still unless a test moves it, so that no deadline passes because the machine is slow.
  BootTime now_ = boot_time_now();
  Tree tree_;
  VmFinderConfig config_;
  std::string probe_;
  std::optional<HostRoot> root_;
  std::optional<VmFinder> finder_;
  std::array<char, 65536> buffer_{};
  SourceBook book_;
};

TEST_F(VmFinderTest, ASearchByNameAloneIsDegraded) {
  make();
  scan();
  const auto state = [](const Snapshot& snapshot) {
    return snapshot.source(Source::kVmFinder).state;
  };
  EXPECT_EQ(state(read()), SourceState::kDegraded);
  finder_->begin_scan();  // eBPF lists the open files this time
  finder_->scan_proc(ProcessScanner::Depth::kLight, now_);
  EXPECT_EQ(state(read()), SourceState::kOk);
}

TEST_F(VmFinderTest, FindsByNameAndLearnsTheRest) {
  make();
  scan();
  ASSERT_TRUE(settle(1));
  EXPECT_TRUE(finder_->changed());
  const auto snapshot = read();
  EXPECT_FALSE(finder_->changed());
  ASSERT_EQ(snapshot.vms.size(), 1U);
  const auto& vm = snapshot.vms[0];
  EXPECT_EQ(vm.id.tgid, 100);
  EXPECT_EQ(vm.id.start, BootTime{5s});
  EXPECT_EQ(vm.identity.name, "web");
  EXPECT_EQ(vm.identity.unit, "web.scope");
  EXPECT_EQ(vm.identity.cgroup_path, "/machine.slice/web.scope");
  EXPECT_EQ(vm.identity.guest_memory_bytes, 1ULL << 30);
  EXPECT_EQ(vm.identity.executable, "qemu-system-x86_64");
  EXPECT_TRUE(vm.identity.probed);
  ASSERT_EQ(vm.cgroups.size(), 3U);
  EXPECT_EQ(vm.cgroups[0], vm.id.cgroup) << "the unit's, not the emulator's";
  EXPECT_EQ(vm.topology.foreign_process_count, 0U);
  EXPECT_EQ(vm.topology.other_vm_count, 0U);
  EXPECT_EQ(vm.io_attribution, IoAttribution::kCgroup);
  ASSERT_TRUE(vm.cgroup);
  EXPECT_EQ(vm.cgroup->memory_bytes, 1048576U);
  ASSERT_EQ(snapshot.block_io.size(), 1U);
  EXPECT_TRUE(snapshot.block_io[0].counts_only);
  EXPECT_EQ(snapshot.block_io[0].vm, vm.id);
  EXPECT_EQ(snapshot.block_io[0].by_operation[1].bytes, Counter{8192});
  EXPECT_EQ(snapshot.source(Source::kVmFinder).state, SourceState::kDegraded);
  EXPECT_EQ(snapshot.source(Source::kVmProbe).state, SourceState::kOk);
  EXPECT_TRUE(snapshot.gaps.empty());
}

TEST_F(VmFinderTest, AGoneManagerLeavesOneDeparture) {
  make();
  scan();
  ASSERT_TRUE(settle(1));
  const auto id = read().vms[0].id;
  tree_.remove("proc/100");
  finder_->run(now_);
  EXPECT_TRUE(finder_->changed());
  EXPECT_TRUE(finder_->wants_rescan()) << "it may have been a launcher";
  const auto snapshot = read();
  EXPECT_TRUE(snapshot.vms.empty());
  ASSERT_EQ(snapshot.departed_vms.size(), 1U);
  EXPECT_EQ(snapshot.departed_vms[0].id, id);
  EXPECT_EQ(snapshot.departed_vms[0].name, "web");
  EXPECT_TRUE(read().departed_vms.empty());
}

TEST_F(VmFinderTest, AScriptOfThatNameIsNoVm) {
  tree_.add_process({.pid = 101, .comm = "qemu-kvm", .executable = "/usr/bin/bash"});
  make();
  scan();
  ASSERT_TRUE(settle(1));
  announce(101, false);
  EXPECT_FALSE(finder_->next_deadline()) << "rejected until the next scan";
  const auto snapshot = read();
  EXPECT_EQ(snapshot.vms.size(), 1U);
  EXPECT_TRUE(snapshot.departed_vms.empty()) << "it was never shown";
}

TEST_F(VmFinderTest, AManagerThatVanishesWhileItIsProbedIsNeverShown) {
  tree_.remove("proc/100/cmdline");
  make();
  scan();
  ASSERT_TRUE(settle(0));
  const auto snapshot = read();
  EXPECT_TRUE(snapshot.vms.empty());
  EXPECT_TRUE(snapshot.departed_vms.empty());
}

TEST_F(VmFinderTest, WhoHoldsAKvmDescriptorIsAVmWhateverItsName) {
  tree_.add_process({.pid = 102, .comm = "lkvm", .executable = "/usr/bin/lkvm"});
  make();
  announce(102, true);
  ASSERT_TRUE(settle(1));
  const auto snapshot = read();
  EXPECT_EQ(snapshot.vms[0].identity.accelerator, Accelerator::kKvm);
  EXPECT_EQ(snapshot.vms[0].identity.manager, VmManager::kUnknown);
}

TEST_F(VmFinderTest, StuckProbeMeansABareNameAGapAndAnotherTry) {
  hang_the_probe();
  make();
  scan();
  finder_->run(now_);
  EXPECT_TRUE(finder_->shown().empty()) << "the probe has half a second";
  now_ = now_ + kShowAfter;
  finder_->run(now_);
  ASSERT_EQ(finder_->shown().size(), 1U);
  EXPECT_EQ(finder_->shown()[0]->identity.name, "pid-100");
  now_ = now_ + config_.probe_timeout;  // of the slow lane
  finder_->run(now_);
  const auto snapshot = read();
  EXPECT_FALSE(snapshot.vms[0].identity.probed);
  ASSERT_EQ(snapshot.gaps.size(), 2U) << "the probe, and with it the cgroup for io.stat";
  EXPECT_EQ(snapshot.gaps[0].source, Source::kVmProbe);
  EXPECT_EQ(snapshot.gaps[0].reason, GapReason::kSlow);
  EXPECT_EQ(snapshot.source(Source::kVmProbe).dropped_count, 1U);
  // The back-off's end brings the next try; by then the probe works.
  const auto id = snapshot.vms[0].id;
  tree_.remove("probe");  // the old one may still be running, and cannot be written to then
  tree_.file("probe", std::string("#!/bin/sh\nexec ") + HVGUARD_PROBE + " \"$@\"\n");
  ::chmod(tree_.path("probe").c_str(), 0755);
  now_ = now_ + probe_back_off(1) - 1ms;
  finder_->run(now_);
  EXPECT_TRUE(finder_->next_deadline()) << "not yet";
  EXPECT_GT(*finder_->next_deadline(), now_);
  now_ = now_ + 1ms;
  ASSERT_TRUE(settle(1));
  const auto later = read();
  EXPECT_EQ(later.vms[0].identity.name, "web");
  EXPECT_EQ(later.vms[0].id, id) << "an identity never changes";
  EXPECT_TRUE(later.gaps.empty());
}

// Opening a FIFO for reading waits for a writer, as reading cmdline waits for mmap_lock.
TEST_F(VmFinderTest, AStuckProcessDelaysNoOther) {
  tree_.add_process({.pid = 90, .comm = "kvm", .executable = "/usr/bin/kvm"});
  tree_.remove("proc/90/cmdline");
  ASSERT_EQ(::mkfifo(tree_.path("proc/90/cmdline").c_str(), 0600), 0);
  config_.probe_timeout = 60s;
  make();
  announce(90, false);
  announce(100, false);
  finder_->run(now_);
  now_ = now_ + 1s;  // past the fast lane's deadline, far from the configured one
  const auto answered = [&](Pid pid) {
    finder_->run(now_);
    for (const auto* const vm : finder_->shown()) {
      if (vm->id.tgid == pid) {
        return vm->identity.probed || !vm->identity.probe_error.empty();
      }
    }
    return false;
  };
  ASSERT_TRUE(wait_for(60s, [&] { return answered(100); }));
  EXPECT_FALSE(answered(90)) << "it was asked for first and is still being waited for";
  now_ = now_ + 60s;
  EXPECT_TRUE(answered(90));
}

TEST_F(VmFinderTest, SharedCgroupIsToldAndCountedBySubmitter) {
  tree_.add_cgroup("/machine.slice/web.scope", "103\n");
  tree_.add_process({.pid = 103, .comm = "nginx", .executable = "/usr/sbin/nginx"});
  make();
  scan();
  ASSERT_TRUE(settle(1));
  const auto snapshot = read();
  EXPECT_EQ(snapshot.vms[0].topology.foreign_process_count, 1U);
  EXPECT_EQ(snapshot.vms[0].io_attribution, IoAttribution::kSubmitter);
  ASSERT_TRUE(snapshot.vms[0].cgroup);
  EXPECT_FALSE(snapshot.vms[0].cgroup->cpu_microseconds) << "it is the others' as well";
  EXPECT_FALSE(snapshot.vms[0].cgroup->memory_bytes);
  EXPECT_TRUE(snapshot.block_io.empty()) << "io.stat would charge the others' IO to it";
  ASSERT_EQ(snapshot.gaps.size(), 1U);
  EXPECT_EQ(snapshot.gaps[0].source, Source::kBlockIo);
}

TEST_F(VmFinderTest, AMovedManagerIsLookedUpAgain) {
  make();
  scan();
  ASSERT_TRUE(settle(1));
  const auto id = read().vms[0].id;
  tree_.add_cgroup("/machine.slice/web.scope/libvirt/emulator", "");
  tree_.add_cgroup("/other.service", "100\n");
  tree_.file("proc/100/cgroup", "0::/other.service\n");
  tree_.file("proc/100/task/100/cgroup", "0::/other.service\n");
  std::ignore = read();
  const auto asked = finder_->next_deadline();
  ASSERT_TRUE(asked) << "looked up again";
  EXPECT_GT(*asked, now_ + 5s) << "but not with every tick";
  ASSERT_TRUE(wait_for(60s, [&] {
    finder_->run(now_ + 11s);
    return finder_->shown()[0]->identity.unit == "other.service";
  }));
  const auto snapshot = read();
  EXPECT_EQ(snapshot.vms[0].identity.unit, "other.service");
  EXPECT_EQ(snapshot.vms[0].id, id);
}

TEST_F(VmFinderTest, NoCgroupV2IsBlindButVmsAreFound) {
  tree_.file("proc/self/mountinfo", "");
  make();
  scan();
  ASSERT_TRUE(settle(1));
  const auto snapshot = read({true, false});
  EXPECT_EQ(snapshot.source(Source::kVmCgroups).state, SourceState::kBlind);
  EXPECT_EQ(snapshot.vms[0].identity.name, "web");
  EXPECT_FALSE(snapshot.vms[0].cgroup);
  EXPECT_EQ(snapshot.vms[0].io_attribution, IoAttribution::kSubmitter);
}

TEST_F(VmFinderTest, VmsAreBounded) {
  tree_.file("proc/manager/comm", "kvm\n");
  for (Pid pid = 1000; pid < 1000 + static_cast<Pid>(kMaxVms) + 3; ++pid) {
    tree_.link("proc/" + std::to_string(pid), "manager");  // cheaper than so many directories
  }
  tree_.remove("proc/100");
  probe_.clear();
  make();
  scan();
  const auto snapshot = read();
  EXPECT_EQ(snapshot.source(Source::kVmFinder).dropped_count, 3U);
  EXPECT_EQ(snapshot.source(Source::kVmProbe).state, SourceState::kOk) << "not asked yet";
  finder_->run(now_);
  EXPECT_EQ(read().source(Source::kVmProbe).state, SourceState::kBlind);
}

}  // namespace
}  // namespace hvguard::observe
