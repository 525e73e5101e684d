// What a host without some of BPF is told to be, and what a refused load says.
#include "observe/ebpf/support.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>

#include "lab.h"
#include "observe/ebpf/block_io.h"
#include "observe/ebpf/lifecycle.h"
#include "observe/ebpf/tasks.h"

namespace hvguard::observe {
namespace {

void write_file(const std::string& path, const std::string& text) {
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    ::mkdir(path.substr(0, slash).c_str(), 0700);
  }
  std::ofstream(path) << text;
}

constexpr const char* kAllCapabilities = "Name:\tx\nCapEff:\t000001ffffffffff\n";

TEST(BpfSupport, ThisHostIsFullyAble) {
  const BpfSupport support = probe_bpf("/");
  EXPECT_TRUE(support.btf);
  EXPECT_TRUE(support.may_load);
  EXPECT_GE(support.level(), 2);
}

TEST(BpfSupport, NothingBelowAnEmptyRoot) {
  const lab::Directory root;
  const BpfSupport support = probe_bpf(root.path());
  EXPECT_EQ(support.level(), 1);
  EXPECT_NE(support.explanation().find("BTF"), std::string::npos);
}

TEST(BpfSupport, CapabilitiesOneByOne) {
  const lab::Directory root;
  write_file(root.path() + "/sys/kernel/btf/vmlinux", "x");
  const auto level_with = [&](const std::string& mask) {
    write_file(root.path() + "/proc/self/status", "CapEff:\t" + mask + "\n");
    return probe_bpf(root.path()).level();
  };
  EXPECT_EQ(level_with("0000000000000000"), 1);
  EXPECT_EQ(level_with("0000008000000000"), 1);  // CAP_BPF alone
  EXPECT_EQ(level_with("0000004000000000"), 1);  // CAP_PERFMON alone
  EXPECT_EQ(level_with("000000c000000000"), 3);  // both
  EXPECT_EQ(level_with("0000000000200000"), 3);  // CAP_SYS_ADMIN
}

TEST(BpfSupport, OnlyWithTheHostsOwnProcessNumbers) {
  const lab::Directory root;
  write_file(root.path() + "/sys/kernel/btf/vmlinux", "x");
  write_file(root.path() + "/proc/self/status", kAllCapabilities);
  write_file(root.path() + "/proc/self/ns/other", "");
  const std::string link = root.path() + "/proc/self/ns/pid";
  EXPECT_EQ(probe_bpf(root.path()).level(), 3);  // a kernel that does not tell
  ASSERT_EQ(::symlink("pid:[4026531836]", link.c_str()), 0);
  EXPECT_EQ(probe_bpf(root.path()).level(), 3);
  ASSERT_EQ(::unlink(link.c_str()), 0);
  ASSERT_EQ(::symlink("pid:[4026532201]", link.c_str()), 0);
  const BpfSupport in_container = probe_bpf(root.path());
  EXPECT_EQ(in_container.level(), 1);
  EXPECT_NE(in_container.explanation().find("PID namespace"), std::string::npos);
  const auto refused = LifecycleReader::open(in_container, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnsupported);
  EXPECT_NE(refused.error().message.find("container"), std::string::npos);
}

TEST(BpfSupport, LockdownAndCgroupVersions) {
  const lab::Directory root;
  write_file(root.path() + "/sys/kernel/btf/vmlinux", "x");
  write_file(root.path() + "/proc/self/status", kAllCapabilities);
  write_file(root.path() + "/proc/cgroups", "#subsys\nblkio\t7\t1\t1\n");
  write_file(root.path() + "/sys/kernel/security/lockdown", "none integrity [confidentiality]\n");
  EXPECT_EQ(probe_bpf(root.path()).level(), 2);
  EXPECT_NE(probe_bpf(root.path()).explanation(), "");
  EXPECT_FALSE(probe_bpf(root.path()).io_on_cgroup2);

  write_file(root.path() + "/proc/cgroups", "#subsys\nblkio\t0\t1\t1\n");
  write_file(root.path() + "/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
  EXPECT_EQ(probe_bpf(root.path()).level(), 3);
  EXPECT_EQ(probe_bpf(root.path()).explanation(), "");
  EXPECT_TRUE(probe_bpf(root.path()).io_on_cgroup2);
}

TEST(BpfSupport, LoadWithoutProbeReadsAsUnderLockdown) {
  BpfSupport support = probe_bpf("/");
  support.may_probe_read = false;
  auto reader = BlockedTaskReader::open(support);
  ASSERT_TRUE(reader) << reader.error().message;
  const auto pass = reader->pass();
  ASSERT_TRUE(pass);
  EXPECT_GT(pass->seen_count, 0U);
}

TEST(BpfSupport, RefusalsNameTheMissingThing) {
  BpfSupport support = probe_bpf("/");
  support.btf = false;
  const auto without_btf = BlockIoReader::open(support);
  ASSERT_FALSE(without_btf);
  EXPECT_EQ(without_btf.error().code, Errc::kUnsupported);
  EXPECT_NE(without_btf.error().message.find("BTF"), std::string::npos);

  support = probe_bpf("/");
  support.may_load = false;
  const auto denied = LifecycleReader::open(support, {});
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().code, Errc::kDenied);
  EXPECT_NE(denied.error().message.find("CAP_BPF"), std::string::npos);
}

// The kernel's own refusal, in a child that has given up its capabilities.
TEST(BpfSupport, KernelRefusalIsAnErrorAndPrintsNothing) {
  const lab::SharedMemory shared;
  const lab::Directory directory;
  const std::string printed = directory.path() + "/stderr";
  lab::Process child([&] {
    const BpfSupport as_root = probe_bpf("/");
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct none[2] = {};
    ::syscall(SYS_capset, &header, none);
    const bool redirected = std::freopen(printed.c_str(), "w", stderr) != nullptr;
    const auto reader = BlockedTaskReader::open(as_root);
    std::fflush(stderr);
    const bool told = redirected && !reader && reader.error().code == Errc::kDenied &&
                      reader.error().message.starts_with("load BPF object tasks: ");
    lab::store(shared->done, told ? 1 : 2);
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(lab::load(shared->done), 1);
  EXPECT_EQ(std::ifstream(printed).peek(), std::ifstream::traits_type::eof());
}

TEST(BpfSupport, VerifierRefusalCarriesItsReason) {
  const BpfSupport support = probe_bpf("/");
  const auto result = run_libbpf("x", "load", support, [] { return -EINVAL; });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::kUnsupported);
  EXPECT_EQ(result.error().sys_errno, EINVAL);
  EXPECT_EQ(result.error().message, "load BPF object x: the kernel refused it: Invalid argument");
}

}  // namespace
}  // namespace hvguard::observe
