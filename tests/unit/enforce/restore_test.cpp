#include "enforce/restore.h"

#include <gtest/gtest.h>

#include "cgroup_fixture.h"
#include "enforce/cgroup_files.h"

namespace hvguard::enforce {
namespace {

using test::CgroupFixture;
using test::kPids;
using test::kReadBytes;

constexpr const char* kVm = "/machine.slice/vm.scope";

struct Call {
  std::string unit;
  std::vector<UnitProperty> properties;
};

class Restore : public testing::Test {
 protected:
  LeaseRecord record(const SettingKey& key, SettingValue earlier, std::vector<SettingValue> ours) {
    return {.vm = test::vm_number(1),
            .unit = unit_,
            .cgroup_path = kVm,
            .cgroup = cgroup_,
            .key = key,
            .earlier = earlier,
            .ours = std::move(ours)};
  }
  RestoreReport run(const std::vector<LeaseRecord>& records) {
    return restore(*DirFd::open(fixture_.mount()),
                   records,
                   [this](const std::string& unit, const std::vector<UnitProperty>& properties) {
                     calls_.push_back({unit, properties});
                     return systemd_ ? Result<>() : fail(Errc::kTimeout, "PID 1 says nothing");
                   });
  }

  CgroupFixture fixture_;
  CgroupId cgroup_ = fixture_.add(kVm);
  std::string unit_;
  bool systemd_ = true;
  std::vector<Call> calls_;
};

TEST_F(Restore, WhatIsOursGoesBackToWhatItWas) {
  fixture_.write(kVm, "io.max", "8:0 rbps=16777216 wbps=max riops=500 wiops=max\n");
  fixture_.write(kVm, "pids.max", "4096\n");
  const auto report =
      run({record(kReadBytes, std::nullopt, {32 << 20, 16 << 20}), record(kPids, 16384, {4096})});
  EXPECT_EQ(report.restored, 2U);
  EXPECT_EQ(fixture_.value(kVm, kReadBytes), std::nullopt);
  EXPECT_EQ(fixture_.value(kVm, {LimitKind::kReadOperations, test::kDisk}), SettingValue(500))
      << "the key beside it is not ours";
  EXPECT_EQ(fixture_.value(kVm, kPids), SettingValue(16384));
  EXPECT_TRUE(report.remaining.empty());
  EXPECT_TRUE(calls_.empty()) << "no unit";
}

TEST_F(Restore, AForeignValueIsLeftAndSaid) {
  fixture_.write(kVm, "pids.max", "77\n");
  unit_ = "vm.scope";
  const auto report = run({record(kPids, 16384, {4096})});
  EXPECT_EQ(report.foreign, 1U);
  EXPECT_EQ(fixture_.value(kVm, kPids), SettingValue(77));
  EXPECT_TRUE(report.remaining.empty());
  EXPECT_TRUE(calls_.empty()) << "resetting systemd's property would write the file";
  EXPECT_NE(report.lines.at(0).find("someone else set it to 77"), std::string::npos);
}

TEST_F(Restore, ACgroupOfTheSameNameIsAnother) {
  fixture_.write(kVm, "pids.max", "4096\n");
  cgroup_.value += 1;
  EXPECT_EQ(run({record(kPids, 16384, {4096})}).gone, 1U);
  EXPECT_EQ(fixture_.value(kVm, kPids), SettingValue(4096));
}

TEST_F(Restore, SystemdIsToldThoughTheFileIsAsItWas) {
  unit_ = "vm.scope";
  const auto report = run({record(kPids, 16384, {4096}), record(kReadBytes, std::nullopt, {5})});
  EXPECT_EQ(report.unchanged, 2U);
  ASSERT_EQ(calls_.size(), 1U) << "one call for a unit";
  EXPECT_EQ(
      calls_[0].properties,
      (std::vector<UnitProperty>{{"TasksMax", 16384U}, {"IOReadBandwidthMax", DeviceValues{}}}));
}

TEST_F(Restore, WithoutAnAnswerOfSystemdTheFileIsBackAndTheRecordStays) {
  unit_ = "vm.scope";
  systemd_ = false;
  fixture_.write(kVm, "pids.max", "4096\n");
  const auto report = run({record(kPids, 16384, {4096})});
  EXPECT_EQ(fixture_.value(kVm, kPids), SettingValue(16384));
  EXPECT_EQ(report.failed, 1U);
  EXPECT_EQ(report.remaining.size(), 1U);
}

TEST_F(Restore, AServiceThatWasStartedAgainStillHasTheProperty) {
  unit_ = "vm.service";
  cgroup_.value += 1;
  EXPECT_EQ(run({record(kPids, 16384, {4096})}).gone, 1U);
  ASSERT_EQ(calls_.size(), 1U);
}

TEST(CgroupFiles, MissingControllerSaysSo) {
  const CgroupFixture fixture;
  const CgroupId id = fixture.add("/vm");
  std::filesystem::remove(fixture.mount() + "/vm/io.max");
  const auto files = open_cgroup(*DirFd::open(fixture.mount()), "/vm", id);
  ASSERT_TRUE(files);
  const auto result = write_setting(*files, {kReadBytes, 5});
  EXPECT_FALSE(result.known);
  EXPECT_NE(result.error.find("controller is not enabled"), std::string::npos) << result.error;
}

TEST(CgroupFiles, NoPathLeavesTheMount) {
  const CgroupFixture fixture;
  const auto mount = *DirFd::open(fixture.mount());
  for (const char* const path : {"/", "", "vm", "/../run", "/a/..", "/a/../.."}) {
    EXPECT_FALSE(open_cgroup(mount, path, CgroupId{1})) << path;
  }
}

// A kernel in which reclaim takes time, and memory.current follows memory.high down.
TEST(CgroupFiles, MemoryHighIsLoweredInSteps) {
  std::uint64_t used = 40 * kMemoryStepBytes;
  std::uint64_t high = UINT64_MAX;
  std::uint64_t largest_step = 0;
  bool reclaims = true;
  const CgroupFiles files{[&](std::string_view name) -> Result<std::string> {
                            return std::to_string(name == "memory.current" ? used : high);
                          },
                          [&](std::string_view, std::string_view text) -> Result<> {
                            high = std::stoull(std::string(text));
                            if (used > high) {
                              largest_step = std::max(largest_step, used - high);
                              used = reclaims ? high : used;
                            }
                            return {};
                          }};
  const Setting wanted{{LimitKind::kMemoryHigh, {}}, 4 * kMemoryStepBytes};
  const auto done = write_setting(files, wanted);
  EXPECT_FALSE(done.unfinished);
  EXPECT_EQ(done.value, wanted.value);
  EXPECT_LE(largest_step, kMemoryStepBytes + 4096);
  used = 40 * kMemoryStepBytes;
  reclaims = false;
  const auto part = write_setting(files, wanted);
  EXPECT_TRUE(part.unfinished) << "the rest at the next request";
  EXPECT_EQ(part.error, "");
  EXPECT_GE(*part.value, used - kMemoryStepBytes - 4096);
}

TEST(CgroupFiles, MemoryMaxBelowWhatIsInUseIsRefused) {
  const CgroupFixture fixture;
  const CgroupId id = fixture.add("/vm");
  fixture.write("/vm", "memory.current", "2147483648\n");
  const auto files = open_cgroup(*DirFd::open(fixture.mount()), "/vm", id);
  const auto result = write_setting(*files, {{LimitKind::kMemoryMax, {}}, 1 << 30});
  EXPECT_NE(result.error.find("would kill"), std::string::npos) << result.error;
  EXPECT_EQ(fixture.read("/vm", "memory.max"), "max\n");
}

}  // namespace
}  // namespace hvguard::enforce
