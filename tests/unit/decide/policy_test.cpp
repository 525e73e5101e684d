#include "decide/policy.h"

#include <map>

#include <gtest/gtest.h>

namespace hvguard {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kGiB = 1 << 30;
constexpr BootTime kNow{std::chrono::seconds(1000)};
const LimitDevice kFast{.id = {259, 0}, .name = "nvme0n1"};
const LimitDevice kSlow{.id = {8, 0}, .name = "sda"};

VmReading web_vm() {
  VmReading vm;
  vm.id = {.tgid = 4711, .start = {std::chrono::seconds(10)}, .cgroup = {23}};
  vm.identity.name = "web01";
  vm.identity.unit = "machine-qemu\\x2d1\\x2dweb01.scope";
  vm.identity.guest_memory_bytes = 512 * kMiB;
  vm.identity.vcpu_count = 2;
  vm.cgroup.emplace();
  vm.cgroup->memory_bytes = 600 * kMiB;
  vm.cgroup->pids_count = 20;
  return vm;
}

VmClass class_named(std::string name) {
  VmClass one;
  one.name = std::move(name);
  return one;
}

PolicyConfig enforcing(VmClass one) {
  PolicyConfig policy;
  policy.mode = LimitMode::kEnforce;
  policy.classes = {std::move(one)};
  return policy;
}

Baselines baselines_of(const PolicyConfig& policy, const VmReading& vm) {
  return baselines(policy, host_mode(policy, std::nullopt), vm, {kFast, kSlow}, kNow);
}

std::map<LimitKind, std::uint64_t> values_of(const Baselines& all) {
  std::map<LimitKind, std::uint64_t> values;
  for (const Limit& limit : all.limits) {
    values[limit.key.kind] = limit.value;
  }
  return values;
}

std::vector<std::string> reasons_of(const std::vector<Decision>& refusals) {
  std::vector<std::string> reasons;
  for (const Decision& refusal : refusals) {
    EXPECT_EQ(refusal.step, DecisionStep::kRefused);
    EXPECT_EQ(refusal.time, kNow);
    reasons.push_back(refusal.reason);
  }
  return reasons;
}

// ---- classify ----------------------------------------------------------------------------------

std::string class_of(const PolicyConfig& policy, const VmReading& vm) {
  return classify(policy, LimitMode::kEnforce, vm).class_name;
}

TEST(Classify, TheFirstClassThatFitsWins) {
  PolicyConfig policy = enforcing(class_named("database"));
  policy.classes[0].match.vms = {"db*"};
  policy.classes.push_back(class_named("all"));
  policy.classes.push_back(class_named("never"));
  EXPECT_EQ(class_of(policy, web_vm()), "all");
  VmReading database = web_vm();
  database.identity.name = "db7";
  EXPECT_EQ(class_of(policy, database), "database");
}

TEST(Classify, WithoutAFittingClassTheHostDecides) {
  const VmPolicy found = classify(PolicyConfig{}, LimitMode::kDryRun, web_vm());
  EXPECT_EQ(found.class_name, "");
  EXPECT_EQ(found.mode, LimitMode::kDryRun);
  EXPECT_FALSE(found.is_protected);
}

TEST(Classify, AllThatIsGivenMustFit) {
  PolicyConfig policy = enforcing(class_named("one"));
  VmMatch& match = policy.classes[0].match;
  match.vms = {"x*", "web??"};
  match.units = {R"(machine-qemu\x2d*.scope)"};
  match.min_guest_memory_bytes = 512 * kMiB;
  match.max_guest_memory_bytes = 512 * kMiB;
  EXPECT_EQ(class_of(policy, web_vm()), "one");
  const auto without = [&](auto change) {
    VmReading vm = web_vm();
    change(vm.identity);
    return class_of(policy, vm);
  };
  EXPECT_EQ(without([](VmIdentity& vm) { vm.name = "web1"; }), "");
  EXPECT_EQ(without([](VmIdentity& vm) { vm.unit = "101.scope"; }), "");
  EXPECT_EQ(without([](VmIdentity& vm) { vm.unit.clear(); }), "");
  EXPECT_EQ(without([](VmIdentity& vm) { vm.guest_memory_bytes = 512 * kMiB - 1; }), "");
  EXPECT_EQ(without([](VmIdentity& vm) { vm.guest_memory_bytes = 512 * kMiB + 1; }), "");
  EXPECT_EQ(without([](VmIdentity& vm) { vm.guest_memory_bytes.reset(); }), "");
}

TEST(Classify, OfHostAndClassTheLesserModeCounts) {
  PolicyConfig policy = enforcing(class_named("one"));
  for (const LimitMode host : {LimitMode::kObserve, LimitMode::kDryRun, LimitMode::kEnforce}) {
    policy.classes[0].mode.reset();
    EXPECT_EQ(classify(policy, host, web_vm()).mode, host);
    for (const LimitMode own : {LimitMode::kObserve, LimitMode::kDryRun, LimitMode::kEnforce}) {
      policy.classes[0].mode = own;
      EXPECT_EQ(classify(policy, host, web_vm()).mode, std::min(host, own));
    }
  }
}

TEST(HostMode, IsAsConfiguredUnlessAskedOtherwise) {
  PolicyConfig policy;
  policy.mode = LimitMode::kDryRun;
  EXPECT_EQ(host_mode(policy, std::nullopt), LimitMode::kDryRun);
  EXPECT_EQ(host_mode(policy, LimitMode::kEnforce), LimitMode::kEnforce);
  EXPECT_EQ(host_mode(policy, LimitMode::kObserve), LimitMode::kObserve);
}

TEST(Classify, ProtectedByNameUnitOrClass) {
  const auto is_protected = [](const PolicyConfig& policy) {
    return classify(policy, LimitMode::kEnforce, web_vm()).is_protected;
  };
  PolicyConfig policy = enforcing(class_named("one"));
  EXPECT_FALSE(is_protected(policy));
  policy.protected_vms = {"db*", "web*"};
  EXPECT_TRUE(is_protected(policy));
  policy.protected_vms = {"db*"};
  policy.protected_units = {"machine-qemu*"};
  EXPECT_TRUE(is_protected(policy));
  policy.protected_units = {"101.scope"};
  EXPECT_FALSE(is_protected(policy));
  policy.classes[0].is_protected = true;
  EXPECT_TRUE(is_protected(policy));
}

// ---- baselines ---------------------------------------------------------------------------------

TEST(Baselines, EveryKeyGivesItsLimit) {
  VmClass one = class_named("small");
  one.baseline = {.io_weight = 50,
                  .read_bytes = 200'000'000,
                  .read_operations = 2000,
                  .write_bytes = 100'000'000,
                  .write_operations = 1000,
                  .devices = {"nvme*"},
                  .memory_low_bytes = 128 * kMiB,
                  .memory_high_overhead_bytes = kGiB,
                  .memory_max_overhead_bytes = 4 * kGiB,
                  .swap_max_bytes = 0,
                  .pids_max = 8192,
                  .cpu_max_cores = 1.5,
                  .cpu_weight = 70};
  const Baselines all = baselines_of(enforcing(one), web_vm());
  EXPECT_EQ(values_of(all),
            (std::map<LimitKind, std::uint64_t>{{LimitKind::kReadBytes, 200'000'000},
                                                {LimitKind::kReadOperations, 2000},
                                                {LimitKind::kWriteBytes, 100'000'000},
                                                {LimitKind::kWriteOperations, 1000},
                                                {LimitKind::kIoWeight, 50},
                                                {LimitKind::kMemoryLow, 128 * kMiB},
                                                {LimitKind::kMemoryHigh, 1536 * kMiB},
                                                {LimitKind::kMemoryMax, 4608 * kMiB},
                                                {LimitKind::kSwapMax, 0},
                                                {LimitKind::kPidsMax, 8192},
                                                {LimitKind::kCpuMax, 1'500'000},
                                                {LimitKind::kCpuWeight, 70}}));
  EXPECT_TRUE(all.refusals.empty());
  ASSERT_EQ(all.limits.size(), kLimitKindCount);
  for (std::size_t i = 0; i < all.limits.size(); ++i) {
    const Limit& limit = all.limits[i];
    EXPECT_EQ(limit.key.vm, web_vm().id);
    EXPECT_EQ(limit.key.device, is_per_device(limit.key.kind) ? kFast.id : DeviceId{});
    EXPECT_EQ(limit.origin, LimitOrigin::kBaseline);
    EXPECT_FALSE(limit.dry_run);
    EXPECT_FALSE(limit.expire_time);
    EXPECT_TRUE(limit.reason.starts_with("class small: ")) << limit.reason;
    EXPECT_TRUE(i == 0 || all.limits[i - 1].key < limit.key);
  }
  EXPECT_EQ(all.limits[0].reason, "class small: io.max rbps on nvme0n1 is its read_bytes");
}

TEST(Baselines, ModeDecidesWhetherTheyAreSetSaidOrSilent) {
  VmClass one = class_named("small");
  one.baseline.io_weight = 50;
  one.baseline.memory_high_overhead_bytes = kGiB;
  VmReading vm = web_vm();
  vm.identity.guest_memory_bytes.reset();
  PolicyConfig policy = enforcing(one);
  policy.mode = LimitMode::kDryRun;
  const Baselines said = baselines_of(policy, vm);
  ASSERT_EQ(said.limits.size(), 1U);
  EXPECT_TRUE(said.limits[0].dry_run);
  ASSERT_EQ(said.refusals.size(), 1U);
  EXPECT_TRUE(said.refusals[0].dry_run);
  policy.mode = LimitMode::kEnforce;
  policy.classes[0].mode = LimitMode::kObserve;
  const Baselines silent = baselines_of(policy, vm);
  EXPECT_TRUE(silent.limits.empty());
  EXPECT_TRUE(silent.refusals.empty());
}

TEST(Baselines, WithoutDevicesGlobsEveryDiskOfTheVmIsLimited) {
  VmClass one = class_named("small");
  one.baseline.read_operations = 500;
  const Baselines all = baselines_of(enforcing(one), web_vm());
  ASSERT_EQ(all.limits.size(), 2U);
  EXPECT_EQ(all.limits[0].key.device, kSlow.id);
  EXPECT_EQ(all.limits[1].key.device, kFast.id);
  one.baseline.devices = {"vd*"};
  EXPECT_TRUE(baselines_of(enforcing(one), web_vm()).limits.empty());
}

TEST(Baselines, MemoryIsGuestMemoryAndOverheadInWholePages) {
  VmClass one = class_named("small");
  one.baseline.memory_high_overhead_bytes = kGiB + 1;
  const Baselines all = baselines_of(enforcing(one), web_vm());
  ASSERT_EQ(all.limits.size(), 1U);
  EXPECT_EQ(all.limits[0].value, 1536 * kMiB + 64 * 1024);
  one.baseline.memory_high_overhead_bytes = kGiB;
  EXPECT_EQ(baselines_of(enforcing(one), web_vm()).limits.at(0).reason,
            "class small: memory.high is guest memory 512 MiB + 1 GiB");
}

// Queues, page tables and display memory grow with guest memory: a fixed overhead that is right for
// a small VM would make a large one stand still, or kill it.
TEST(Baselines, LargeGuestsGetAShareOfGuestMemoryAtLeast) {
  VmClass one = class_named("big");
  one.baseline.memory_high_overhead_bytes = kGiB;
  one.baseline.memory_max_overhead_bytes = 2 * kGiB;
  VmReading vm = web_vm();
  vm.identity.guest_memory_bytes = 40 * kGiB;
  const Baselines all = baselines_of(enforcing(one), vm);
  ASSERT_EQ(all.limits.size(), 2U);
  EXPECT_EQ(all.limits[0].value, 44 * kGiB);
  EXPECT_EQ(all.limits[0].reason,
            "class big: memory.high is guest memory 40 GiB + 4 GiB (its overhead of 1 GiB is too "
            "little for so much guest memory)");
  EXPECT_EQ(all.limits[1].value, 52 * kGiB);
}

TEST(Baselines, UnknownGuestMemoryIsSaid) {
  VmClass one = class_named("small");
  one.baseline.memory_high_overhead_bytes = kGiB;
  VmReading vm = web_vm();
  for (const std::optional<std::uint64_t> memory :
       {std::optional<std::uint64_t>(), std::optional(~std::uint64_t{0})}) {
    vm.identity.guest_memory_bytes = memory;
    const Baselines all = baselines_of(enforcing(one), vm);
    EXPECT_TRUE(all.limits.empty());
    EXPECT_EQ(reasons_of(all.refusals),
              std::vector<std::string>{"class small: memory.high needs the size of guest memory, "
                                       "which the VM's command line does not tell"});
    EXPECT_EQ(all.refusals.at(0).kind, LimitKind::kMemoryHigh);
    EXPECT_EQ(all.refusals.at(0).vm, vm.id);
    EXPECT_FALSE(all.refusals.at(0).device);
  }
}

TEST(Baselines, NothingBeginsBelowWhatTheVmUses) {
  VmClass one = class_named("small");
  one.baseline.memory_high_overhead_bytes = kGiB;
  one.baseline.memory_max_overhead_bytes = 3 * kGiB;
  one.baseline.pids_max = 4096;
  VmReading vm = web_vm();
  vm.cgroup->memory_bytes = 2 * kGiB;
  vm.cgroup->pids_count = 5000;
  const Baselines all = baselines_of(enforcing(one), vm);
  EXPECT_EQ(values_of(all),
            (std::map<LimitKind, std::uint64_t>{{LimitKind::kMemoryMax, 3584 * kMiB}}));
  EXPECT_EQ(reasons_of(all.refusals),
            (std::vector<std::string>{
                "class small: memory.high waits until the VM uses less than that: 2 GiB now",
                "class small: pids.max waits until the VM uses less than that: 5000 tasks now"}));
  EXPECT_EQ(all.refusals.at(0).value, 1536 * kMiB);
}

// memory.high may be exceeded; a limit must not come and go because of that.
TEST(Baselines, WhatIsInForceStaysWhenUseGoesAboveIt) {
  VmClass one = class_named("small");
  one.baseline.memory_high_overhead_bytes = kGiB;
  VmReading vm = web_vm();
  vm.cgroup->memory_bytes = 1537 * kMiB;
  vm.cgroup->memory_high_bytes = 1536 * kMiB;
  EXPECT_EQ(baselines_of(enforcing(one), vm).limits.size(), 1U);
  vm.cgroup->memory_high_bytes = 1538 * kMiB;
  EXPECT_TRUE(baselines_of(enforcing(one), vm).limits.empty());
}

TEST(Baselines, AMissingReadingHoldsNothingUp) {
  VmClass one = class_named("small");
  one.baseline.memory_high_overhead_bytes = kGiB;
  VmReading vm = web_vm();
  vm.cgroup.reset();
  EXPECT_EQ(baselines_of(enforcing(one), vm).limits.size(), 1U);
}

TEST(Baselines, ProtectedVmsGetOnlyWhatCannotHoldThemBack) {
  VmClass one = class_named("small");
  one.baseline = {.io_weight = 500,
                  .read_bytes = 200'000'000,
                  .read_operations = {},
                  .write_bytes = {},
                  .write_operations = {},
                  .devices = {"sda"},
                  .memory_low_bytes = 64 * kMiB,
                  .memory_high_overhead_bytes = kGiB,
                  .memory_max_overhead_bytes = 4 * kGiB,
                  .swap_max_bytes = 0,
                  .pids_max = 4096,
                  .cpu_max_cores = 2,
                  .cpu_weight = 700};
  PolicyConfig policy = enforcing(one);
  policy.protected_vms = {"web01"};
  const Baselines all = baselines_of(policy, web_vm());
  EXPECT_EQ(values_of(all),
            (std::map<LimitKind, std::uint64_t>{{LimitKind::kIoWeight, 500},
                                                {LimitKind::kMemoryLow, 64 * kMiB},
                                                {LimitKind::kCpuWeight, 700}}));
  ASSERT_EQ(all.refusals.size(), 6U);
  EXPECT_EQ(all.refusals[0].reason,
            "class small: io.max rbps would hold it back, and it is protected");
  EXPECT_EQ(all.refusals[0].device, kSlow.id);
}

TEST(Baselines, CpuMaxLeavesEachVcpuItsShare) {
  VmClass one = class_named("small");
  one.baseline.cpu_max_cores = 0.6;
  VmReading vm = web_vm();
  EXPECT_EQ(baselines_of(enforcing(one), vm).limits.at(0).value, 600'000U);
  vm.identity.vcpu_count = 4;
  EXPECT_EQ(reasons_of(baselines_of(enforcing(one), vm).refusals),
            std::vector<std::string>{
                "class small: its cpu_max of 0.6 cores is too little for 4 vCPUs, which need 1.2 "
                "by safety.min_cpu_cores_per_vcpu: raise it, or give them a class of their own"});
  vm.identity.vcpu_count.reset();
  EXPECT_EQ(reasons_of(baselines_of(enforcing(one), vm).refusals),
            std::vector<std::string>{"class small: cpu.max needs the number of vCPUs, which the "
                                     "VM's command line does not tell"});
}

TEST(Baselines, NoClassNoLimits) {
  EXPECT_TRUE(baselines_of(PolicyConfig{.mode = LimitMode::kEnforce,
                                        .protected_vms = {},
                                        .protected_units = {},
                                        .classes = {},
                                        .safety = {}},
                           web_vm())
                  .limits.empty());
}

}  // namespace
}  // namespace hvguard
