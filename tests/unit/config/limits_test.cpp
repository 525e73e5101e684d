// [policy], [safety] and the ranges of [[vm_class]]: what reaches the structs, and what is refused
// in which words.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "faults.h"

namespace hvguard::config {
namespace {

using std::chrono::hours;

PolicyConfig policy_of(const std::string& text) {
  const Draft draft = decode({}, text, "f.toml");
  const Validated validated = validate(draft);
  EXPECT_TRUE(draft.faults.empty()) << to_string(draft.faults.at(0));
  EXPECT_TRUE(validated.faults.empty()) << to_string(validated.faults.at(0));
  return validated.config.policy;
}

TEST(Policy, EveryKeyReachesItsStruct) {
  const PolicyConfig policy = policy_of(
      "[policy]\nmode = \"enforce\"\nprotected_vms = [\"db*\", \"x\"]\n"
      "protected_units = [\"a.service\"]\n"
      "[safety]\nmin_read_bytes = \"32MB\"\nmin_read_operations = 300\n"
      "min_write_bytes = 48000000\nmin_write_operations = 400\nmin_cpu_cores_per_vcpu = 0.5\n"
      "max_limited_vm_ratio = 0.5\nmax_changes_per_minute = 10\nlease = \"90s\"\n"
      "max_lease = \"2h\"\ndrain_ratio = 0.125\nallow_write_limits = true\n"
      "allow_cgroupfs_fallback = true\n");
  EXPECT_EQ(policy.mode, LimitMode::kEnforce);
  EXPECT_EQ(policy.protected_vms, (std::vector<std::string>{"db*", "x"}));
  EXPECT_EQ(policy.protected_units, std::vector<std::string>{"a.service"});
  EXPECT_EQ(policy.safety.min_read_bytes, 32'000'000U);
  EXPECT_EQ(policy.safety.min_read_operations, 300U);
  EXPECT_EQ(policy.safety.min_write_bytes, 48'000'000U);
  EXPECT_EQ(policy.safety.min_write_operations, 400U);
  EXPECT_EQ(policy.safety.min_cpu_cores_per_vcpu, 0.5);
  EXPECT_EQ(policy.safety.max_limited_vm_ratio, 0.5);
  EXPECT_EQ(policy.safety.max_changes_per_minute, 10U);
  EXPECT_EQ(policy.safety.lease, seconds(90));
  EXPECT_EQ(policy.safety.max_lease, hours(2));
  EXPECT_EQ(policy.safety.drain_ratio, 0.125);
  EXPECT_TRUE(policy.safety.allow_write_limits);
  EXPECT_TRUE(policy.safety.allow_cgroupfs_fallback);
}

TEST(Policy, EveryKeyOfAClassReachesItsStruct) {
  const PolicyConfig policy = policy_of(
      "[safety]\nallow_write_limits = true\n"
      "[[vm_class]]\nname = \"small\"\nvms = [\"web*\"]\nunits = ['machine-qemu\\x2d*.scope']\n"
      "min_guest_memory = \"1GiB\"\nmax_guest_memory = \"4GiB\"\nmode = \"dry_run\"\n"
      "protect = false\nio_weight = 50\nread_bytes = \"200MB\"\nread_operations = 2000\n"
      "write_bytes = \"100MB\"\nwrite_operations = 1000\ndevices = [\"nvme*\"]\n"
      "memory_low = \"64MiB\"\nmemory_high_overhead = \"1GiB\"\nmemory_max_overhead = \"4GiB\"\n"
      "swap_max = 0\npids_max = 8192\ncpu_max = 1.5\ncpu_weight = 70\n"
      "[[vm_class]]\nname = \"kept\"\nprotect = true\n");
  ASSERT_EQ(policy.classes.size(), 2U);
  const VmClass& small = policy.classes[0];
  EXPECT_EQ(small.name, "small");
  EXPECT_EQ(small.match.vms, std::vector<std::string>{"web*"});
  EXPECT_EQ(small.match.units, std::vector<std::string>{R"(machine-qemu\x2d*.scope)"});
  EXPECT_EQ(small.match.min_guest_memory_bytes, std::uint64_t{1} << 30);
  EXPECT_EQ(small.match.max_guest_memory_bytes, std::uint64_t{4} << 30);
  EXPECT_EQ(small.mode, LimitMode::kDryRun);
  EXPECT_FALSE(small.is_protected);
  EXPECT_EQ(small.baseline.io_weight, 50U);
  EXPECT_EQ(small.baseline.read_bytes, 200'000'000U);
  EXPECT_EQ(small.baseline.read_operations, 2000U);
  EXPECT_EQ(small.baseline.write_bytes, 100'000'000U);
  EXPECT_EQ(small.baseline.write_operations, 1000U);
  EXPECT_EQ(small.baseline.devices, std::vector<std::string>{"nvme*"});
  EXPECT_EQ(small.baseline.memory_low_bytes, std::uint64_t{64} << 20);
  EXPECT_EQ(small.baseline.memory_high_overhead_bytes, std::uint64_t{1} << 30);
  EXPECT_EQ(small.baseline.memory_max_overhead_bytes, std::uint64_t{4} << 30);
  EXPECT_EQ(small.baseline.swap_max_bytes, 0U);
  EXPECT_EQ(small.baseline.pids_max, 8192U);
  EXPECT_EQ(small.baseline.cpu_max_cores, 1.5);
  EXPECT_EQ(small.baseline.cpu_weight, 70U);
  EXPECT_EQ(policy.classes[1].name, "kept");
  EXPECT_TRUE(policy.classes[1].is_protected);
}

TEST(Policy, WhatAClassDoesNotSayIsAbsent) {
  const VmClass one = policy_of("[[vm_class]]\nname = \"one\"\n").classes.at(0);
  EXPECT_FALSE(one.mode);
  EXPECT_TRUE(one.match.vms.empty() && one.match.units.empty());
  EXPECT_FALSE(one.match.min_guest_memory_bytes || one.match.max_guest_memory_bytes);
  const VmBaseline& none = one.baseline;
  EXPECT_TRUE(none.devices.empty());
  EXPECT_FALSE(none.io_weight || none.read_bytes || none.read_operations || none.write_bytes ||
               none.write_operations || none.memory_low_bytes || none.memory_high_overhead_bytes ||
               none.memory_max_overhead_bytes || none.swap_max_bytes || none.pids_max ||
               none.cpu_max_cores || none.cpu_weight);
}

TEST(Policy, EnforceWithoutAnyClassIsFine) {
  EXPECT_TRUE(policy_of("[policy]\nmode = \"enforce\"\n").classes.empty());
}

TEST(Policy, ALaterFileCanEmptyAList) {
  Draft draft = decode({}, "[policy]\nprotected_vms = [\"a\"]\n", "a.toml");
  draft = decode(std::move(draft), "[policy]\nprotected_vms = []\n", "b.toml");
  EXPECT_TRUE(validate(draft).config.policy.protected_vms.empty());
  EXPECT_TRUE(validate(draft).faults.empty());
}

TEST(Policy, ListsOfPatternsAreBounded) {
  std::string text = "[policy]\nprotected_vms = [";
  for (int i = 0; i < 257; ++i) {
    text += "\"x\",";
  }
  EXPECT_EQ(
      faults_of(text + "]\n"),
      std::vector<std::string>{"f.toml:2:17: 'policy.protected_vms': 257 patterns; at most 256"});
}

class BadLimits : public testing::TestWithParam<BadFile> {};

TEST_P(BadLimits, SaysExactlyThis) {
  EXPECT_EQ(faults_of(GetParam().text), GetParam().faults);
}

INSTANTIATE_TEST_SUITE_P(
    Files,
    BadLimits,
    testing::Values(
        BadFile{"Mode",
                "[policy]\nmode = \"on\"\n",
                {"f.toml:2:8: 'policy.mode': \"on\" is no mode: observe, dry_run or enforce"}},
        BadFile{"UnitWithoutType",
                "[policy]\nprotected_units = [\"nginx\"]\n",
                {"f.toml:2:19: 'policy.protected_units': \"nginx\" is no unit: write its whole "
                 "name without path, such as \"nginx.service\" or \"machine-qemu*.scope\""}},
        BadFile{"EmptyPattern",
                "[policy]\nprotected_vms = [\"\"]\n",
                {"f.toml:2:17: 'policy.protected_vms': a pattern has 1 to 256 characters; \"\" has "
                 "0"}},
        BadFile{"FloorTooLow",
                "[safety]\nmin_read_bytes = \"64KiB\"\n",
                {"f.toml:2:18: 'safety.min_read_bytes': 64KiB is out of range: 1MB to 1TB"}},
        BadFile{"ShareOfVms",
                "[safety]\nmax_limited_vm_ratio = 0\n",
                {"f.toml:2:24: 'safety.max_limited_vm_ratio': 0 is out of range: 0.01 to 1"}},
        BadFile{"Lease",
                "[safety]\nlease = \"5s\"\n",
                {"f.toml:2:9: 'safety.lease': \"5s\" is out of range: 10s to 10min"}},
        BadFile{"MaxLeaseBelowLease",
                "[safety]\nlease = \"5min\"\nmax_lease = \"2min\"\n",
                {"f.toml:3:13: 'safety.max_lease': 2min is shorter than 'safety.lease' (5min)"}}),
    [](const testing::TestParamInfo<BadFile>& bad_file) {
      return std::string(bad_file.param.what);
    });

class BadClass : public testing::TestWithParam<BadFile> {};

// The texts begin in line 3, below the head of a class.
TEST_P(BadClass, SaysExactlyThis) {
  EXPECT_EQ(faults_of(std::string("[[vm_class]]\nname = \"x\"\n") + GetParam().text),
            GetParam().faults);
}

INSTANTIATE_TEST_SUITE_P(
    Files,
    BadClass,
    testing::Values(
        BadFile{"ModeOfAClass",
                "mode = \"dry-run\"\n",
                {"f.toml:3:8: 'vm_class.x.mode': \"dry-run\" is no mode: observe, dry_run or "
                 "enforce"}},
        BadFile{"SizeWithPerSecond",
                "read_bytes = \"20MB/s\"\n",
                {"f.toml:3:14: 'read_bytes' in [[vm_class]] must be a size: a whole number of "
                 "bytes, or text such as \"16MB\" or \"1GiB\"; this is \"20MB/s\""}},
        BadFile{"SizeNegative",
                "memory_low = -1\n",
                {"f.toml:3:14: 'memory_low' in [[vm_class]] must be a size: a whole number of "
                 "bytes, or text such as \"16MB\" or \"1GiB\"; this is -1"}},
        BadFile{"ReadBelowFloor",
                "read_bytes = \"8MB\"\n",
                {"f.toml:3:14: 'vm_class.x.read_bytes': 8MB is out of range: 16MB to 1TB; it "
                 "begins at 'safety.min_read_bytes', below which a limit can itself make a hung "
                 "task"}},
        BadFile{"ReadOperationsBelowFloor",
                "read_operations = 199\n",
                {"f.toml:3:19: 'vm_class.x.read_operations': 199 is out of range: 200 to "
                 "100000000; it begins at 'safety.min_read_operations', below which a limit can "
                 "itself make a hung task"}},
        BadFile{"WriteLimitForbidden",
                "write_bytes = \"100MB\"\n",
                {"f.toml:3:15: 'vm_class.x.write_bytes': a throttled writer can hold a journal "
                 "that all others wait for, so write limits need 'safety.allow_write_limits = "
                 "true'; hvguard.toml(5) says where they are safe"}},
        BadFile{"DevicesForNothing",
                "devices = [\"sda\"]\n",
                {"f.toml:3:11: 'vm_class.x.devices': chooses devices for read_bytes, "
                 "read_operations, write_bytes or write_operations, and none of them is set"}},
        BadFile{"DeviceWithPath",
                "read_bytes = \"100MB\"\ndevices = [\"/dev/sda\"]\n",
                {"f.toml:4:11: 'vm_class.x.devices': \"/dev/sda\" is no name of a disk: write it "
                 "without path, such as \"nvme0n1\" or \"sd*\""}},
        BadFile{"MatchesNothing",
                "vms = []\n",
                {"f.toml:3:7: 'vm_class.x.vms': names nothing; remove the key if it shall fit "
                 "all"}},
        BadFile{"MemoryTurnedRound",
                "min_guest_memory = \"4GiB\"\nmax_guest_memory = \"2GiB\"\n",
                {"f.toml:4:20: 'vm_class.x.max_guest_memory': 2GiB is less than "
                 "'min_guest_memory' (4GiB): no VM fits"}},
        BadFile{"HighTooNear",
                "memory_high_overhead = \"512MiB\"\n",
                {"f.toml:3:24: 'vm_class.x.memory_high_overhead': 512MiB is out of range: 1GiB to "
                 "64TiB: with less above guest memory, the guest stands still while it fills it"}},
        BadFile{"MaxTooNear",
                "memory_max_overhead = 1073741824\n",
                {"f.toml:3:23: 'vm_class.x.memory_max_overhead': 1GiB is out of range: 2GiB to "
                 "64TiB: with less above guest memory, the kernel may kill a healthy VM"}},
        BadFile{"MaxBelowHigh",
                "memory_high_overhead = \"4GiB\"\nmemory_max_overhead = \"3GiB\"\n",
                {"f.toml:4:23: 'vm_class.x.memory_max_overhead': 3GiB is less than "
                 "'memory_high_overhead' (4GiB): memory.max would kill before memory.high slows "
                 "down"}},
        BadFile{"PidsTooFew",
                "pids_max = 1024\n",
                {"f.toml:3:12: 'vm_class.x.pids_max': 1024 is out of range: 4096 to 4194304, since "
                 "a VM manager that cannot start a thread aborts or stops its guest's IO"}},
        BadFile{"CpuTooLittle",
                "cpu_max = 0.01\n",
                {"f.toml:3:11: 'vm_class.x.cpu_max': 0.01 is out of range: 0.3 to 8192 cores; it "
                 "begins at 'safety.min_cpu_cores_per_vcpu', which each vCPU needs"}},
        BadFile{"Weight",
                "io_weight = 0\n",
                {"f.toml:3:13: 'vm_class.x.io_weight': 0 is out of range: 1 to 10000"}},
        BadFile{"ProtectedAndHeldBack",
                "protect = true\ncpu_max = 4\nio_weight = 200\n",
                {"f.toml:4:11: 'vm_class.x.cpu_max': would hold VMs back that 'protect = true' of "
                 "the same class protects: remove one of them"}}),
    [](const testing::TestParamInfo<BadFile>& bad_file) {
      return std::string(bad_file.param.what);
    });

}  // namespace
}  // namespace hvguard::config
