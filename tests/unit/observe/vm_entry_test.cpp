#include "observe/vm_entry.h"

#include <gtest/gtest.h>

#include "tree.h"

namespace hvguard::observe {
namespace {

using namespace std::chrono_literals;

VmEntry entry() {
  VmEntry entry;
  entry.reading.id.tgid = 4711;
  entry.reading.found_time = BootTime{50s};
  entry.comm = "qemu-system-x86";
  return entry;
}

ProbeResult qemu_result() {
  ProbeResult result;
  result.tgid = 4711;
  result.executable = "qemu-system-x86_64";
  result.command_line = test::words("qemu -name web -m 512 -smp 2");
  result.cgroup_path = "/machine.slice/q.scope/libvirt/emulator";
  result.start = BootTime{40s};
  result.holds_kvm_vm = false;
  return result;
}

TEST(VmEntryTest, ProbeFillsTheIdentity) {
  auto e = entry();
  apply_probe(e, qemu_result());
  const auto& identity = e.reading.identity;
  EXPECT_EQ(identity.name, "web");
  EXPECT_EQ(identity.name_source, VmNameSource::kCommandLine);
  EXPECT_EQ(identity.manager, VmManager::kQemu);
  EXPECT_EQ(identity.accelerator, Accelerator::kTcg);
  EXPECT_EQ(identity.guest_memory_bytes, 512ULL << 20);
  EXPECT_EQ(identity.unit, "q.scope");
  EXPECT_EQ(identity.cgroup_path, "/machine.slice/q.scope");
  EXPECT_TRUE(identity.probed);
}

TEST(VmEntryTest, NamesInOrder) {
  auto e = entry();
  choose_name(e);
  EXPECT_EQ(e.reading.identity.name, "pid-4711");
  e.reading.identity.unit = "fc.service";
  choose_name(e);
  EXPECT_EQ(e.reading.identity.name, "fc.service:4711");
  EXPECT_EQ(e.reading.identity.name_source, VmNameSource::kUnit);
  e.command_line_name = "web";
  choose_name(e);
  EXPECT_EQ(e.reading.identity.name, "web");
  ProbeResult bus;
  bus.machine_name = "qemu-1-we\nb";
  bus.kill_mode = "control-group";
  apply_bus(e, bus);
  EXPECT_EQ(e.reading.identity.name, "qemu-1-we\\x0ab");
  EXPECT_EQ(e.reading.identity.name_source, VmNameSource::kMachined);
  EXPECT_EQ(e.reading.identity.kill_mode, "control-group");
}

TEST(VmEntryTest, AKvmDescriptorSettlesTheAccelerator) {
  auto e = entry();
  auto result = qemu_result();
  result.holds_kvm_vm = true;
  apply_probe(e, result);
  EXPECT_EQ(e.reading.identity.accelerator, Accelerator::kKvm);
}

TEST(VmEntryTest, PartOfAnAnswerIsKept) {
  auto e = entry();
  ProbeResult result;
  result.cgroup_path = "/a.service";
  result.timed_out = true;
  result.error = "reading cmdline took longer than 2 s";
  apply_probe(e, result);
  EXPECT_EQ(e.reading.identity.unit, "a.service");
  EXPECT_EQ(e.reading.identity.name, "a.service:4711");
  EXPECT_FALSE(e.reading.identity.probed);
  EXPECT_EQ(e.reading.identity.probe_error, result.error);
}

// The same identity with eBPF's nanoseconds and with /proc's 10 ms.
TEST(VmEntryTest, IdentityIsTheSameFromBothSources) {
  auto by_bpf = entry();
  by_bpf.start = BootTime{12345678901ns};
  fix_identity(by_bpf);
  auto by_proc = entry();
  by_proc.start = BootTime{12340ms};
  fix_identity(by_proc);
  EXPECT_EQ(by_bpf.reading.id, by_proc.reading.id);
}

TEST(VmEntryTest, ManagersAreToldFromLookalikes) {
  const VmFinderConfig config;
  auto result = qemu_result();
  EXPECT_TRUE(is_vm_manager(entry(), result, config));
  result.executable = "bash";  // a script called qemu-system-x86_64
  EXPECT_FALSE(is_vm_manager(entry(), result, config));
  result.holds_kvm_vm = true;  // whatever it is, it runs a VM
  EXPECT_TRUE(is_vm_manager(entry(), result, config));
  EXPECT_TRUE(is_vm_manager(entry(), ProbeResult{}, config)) << "by comm, if that is all";
}

// As libvirtd starts it, with and without KVM, to ask what it can do.
TEST(VmEntryTest, AManagerWithoutAGuestIsNoVm) {
  const VmFinderConfig config;
  auto result = qemu_result();
  result.holds_kvm_vm = true;
  for (const std::string_view machine : {"none,accel=kvm:tcg", "none,accel=tcg", "type=none"}) {
    result.command_line = "qemu-system-x86_64";
    for (const std::string_view word : {"-S", "-no-user-config", "-nodefaults", "-machine"}) {
      *result.command_line += '\0';
      *result.command_line += word;
    }
    *result.command_line += '\0';
    *result.command_line += machine;
    EXPECT_FALSE(is_vm_manager(entry(), result, config)) << machine;
  }
  *result.command_line += std::string_view("\0-machine\0q35", 13);  // the last one counts
  EXPECT_TRUE(is_vm_manager(entry(), result, config));
}

TEST(VmEntryTest, Attribution) {
  VmReading reading;
  reading.identity.cgroup_path = "/a.scope";
  EXPECT_EQ(attribution_of(reading), IoAttribution::kUnknown);
  reading.topology.foreign_process_count = 0;
  reading.topology.other_vm_count = 0;
  EXPECT_EQ(attribution_of(reading), IoAttribution::kCgroup);
  reading.topology.missing_controllers = {"io"};
  EXPECT_EQ(attribution_of(reading), IoAttribution::kSubmitter);
  reading.topology.missing_controllers = {"pids"};
  EXPECT_EQ(attribution_of(reading), IoAttribution::kCgroup);
  reading.topology.other_vm_count = 1;
  EXPECT_EQ(attribution_of(reading), IoAttribution::kSubmitter);
  reading.topology.other_vm_count = 0;
  reading.identity.cgroup_path = "/";
  EXPECT_EQ(attribution_of(reading), IoAttribution::kSubmitter);
}

TEST(VmEntryTest, BackOffGrowsToABound) {
  EXPECT_EQ(probe_back_off(1), 10s);
  EXPECT_EQ(probe_back_off(2), 20s);
  EXPECT_EQ(probe_back_off(5), 160s);
  EXPECT_EQ(probe_back_off(6), 300s);
  EXPECT_EQ(probe_back_off(4000000000U), 300s);
}

}  // namespace
}  // namespace hvguard::observe
