#include "detect/io_contention.h"

#include <gtest/gtest.h>

#include "host/host.h"

namespace hvguard {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::Host;
using test::IoLoad;

const DeviceId kDisk{8, 0};

constexpr IoLoad kModest{
    .per_second = 20, .queue_time = milliseconds(4), .device_time = milliseconds(3)};
constexpr IoLoad kWaiting{
    .per_second = 10, .queue_time = milliseconds(300), .device_time = milliseconds(40)};
constexpr IoLoad kNoisy{
    .per_second = 200, .queue_time = milliseconds(300), .device_time = milliseconds(200)};

// A modest VM and a noisy one on a disk.
class Contention {
 public:
  Host host;
  IoContentionConfig config;
  IoContentionState state;
  Facts facts;
  VmId modest = host.add_vm("web01", 42);
  VmId noisy = host.add_vm("noisy", 43);

  explicit Contention(const std::string& device_name = "sda") {
    DeviceReading disk;
    disk.id = kDisk;
    disk.name = device_name;
    host.devices() = {disk};
    host.set_load(noisy, kDisk, IoOperation::kRead, kNoisy);
    modest_does(kModest);
  }
  void modest_does(const IoLoad& load) { host.set_load(modest, kDisk, IoOperation::kRead, load); }
  std::optional<std::vector<Finding>> tick() {
    host.advance(seconds(1));
    return detect_io_contention(config, state, *host.snapshot(), facts);
  }
  std::vector<Finding> after(int seconds_later) {
    std::vector<Finding> found;
    for (int i = 0; i < seconds_later; ++i) {
      found = tick().value();
    }
    return found;
  }
  // How many of the next ticks have a finding.
  int found_in(int ticks) {
    int count = 0;
    for (int i = 0; i < ticks; ++i) {
      count += static_cast<int>(tick().value().size());
    }
    return count;
  }
};

const IoContentionEvidence& evidence_of(const Finding& finding) {
  return std::get<IoContentionEvidence>(finding.evidence);
}

TEST(IoContention, OpensAfterThreeSecondsAndSaysWhoAndByWhom) {
  Contention contention;
  EXPECT_EQ(contention.found_in(30), 0);
  contention.modest_does(kWaiting);
  EXPECT_EQ(contention.found_in(2), 0);
  const auto found = contention.after(1);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].kind, IncidentKind::kIoContention);
  EXPECT_EQ(found[0].subject.key, "dev:8:0");
  EXPECT_EQ(found[0].subject.label, "sda");
  EXPECT_EQ(found[0].subject.device, kDisk);
  EXPECT_EQ(found[0].event_time, Host::kStart + seconds(30));
  const IoContentionEvidence& evidence = evidence_of(found[0]);
  ASSERT_EQ(evidence.victims.size(), 1U);
  EXPECT_EQ(evidence.victims[0].vm, contention.modest);
  EXPECT_EQ(evidence.victims[0].name, "web01");
  EXPECT_EQ(evidence.victims[0].read_p99, std::chrono::microseconds(524'288));
  EXPECT_FALSE(evidence.victims[0].write_p99.has_value());
  ASSERT_EQ(evidence.culprits.size(), 1U);
  EXPECT_EQ(evidence.culprits[0].vm, contention.noisy);
  EXPECT_GT(evidence.culprits[0].device_time_ratio, 0.9);
  EXPECT_EQ(evidence.fair_ratio, 0.5);
  EXPECT_GT(evidence.in_device_count, 30);
  EXPECT_EQ(evidence.latency_bound, milliseconds(128));
  EXPECT_NE(found[0].summary.find("VM web01 waits up to 524 ms"), std::string::npos);
  EXPECT_NE(found[0].summary.find("VM noisy takes 9"), std::string::npos);
}

TEST(IoContention, AShortOneIsNone) {
  Contention contention;
  contention.after(5);
  for (int i = 0; i < 5; ++i) {
    contention.modest_does(kWaiting);
    EXPECT_EQ(contention.found_in(2), 0);
    contention.modest_does(kModest);
    EXPECT_EQ(contention.found_in(2), 0);
  }
}

TEST(IoContention, OneBadWindowIsNotEnoughHoweverLongItStands) {
  Contention contention;
  contention.after(5);
  contention.modest_does(kWaiting);
  EXPECT_EQ(contention.found_in(1), 0);
  contention.modest_does({});  // it asks no more: the window's word stands for five seconds
  EXPECT_EQ(contention.found_in(20), 0);
}

TEST(IoContention, AVictimThatWaitsSoLongThatItDoesLittleIsSeen) {
  Contention contention;
  contention.after(5);
  contention.modest_does(
      {.per_second = 2, .queue_time = milliseconds(500), .device_time = milliseconds(50)});
  const BootTime began = contention.host.now();
  const auto found = contention.after(6);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].event_time, began);
}

TEST(IoContention, OpenItLastsByHalfTheBound) {
  Contention contention;
  contention.modest_does(kWaiting);
  contention.after(5);
  IoLoad less = kWaiting;
  less.queue_time = milliseconds(70);
  contention.modest_does(less);
  EXPECT_EQ(contention.found_in(60), 60);
  less.queue_time = milliseconds(60);
  contention.modest_does(less);
  EXPECT_EQ(contention.found_in(60), 0);
  less.queue_time = milliseconds(70);  // not enough to open
  contention.modest_does(less);
  EXPECT_EQ(contention.found_in(60), 0);
}

TEST(IoContention, WhatReturnsSoonNeedsNoSecondProof) {
  Contention contention;
  contention.modest_does(kWaiting);
  contention.after(5);
  contention.modest_does(kModest);
  EXPECT_EQ(contention.found_in(8), 0);
  contention.modest_does(kWaiting);
  EXPECT_EQ(contention.found_in(5), 5);
  contention.modest_does(kModest);
  EXPECT_EQ(contention.found_in(12), 0);
  contention.modest_does(kWaiting);
  EXPECT_EQ(contention.found_in(2), 0);
  EXPECT_EQ(contention.found_in(1), 1);
}

TEST(IoContention, NvmeHasABoundOfItsOwn) {
  IoLoad load = kWaiting;
  load.queue_time = milliseconds(40);
  Contention disk;
  disk.modest_does(load);
  EXPECT_EQ(disk.found_in(20), 0);
  Contention nvme("nvme0n1");
  nvme.modest_does(load);
  EXPECT_EQ(nvme.found_in(20), 17);
}

TEST(IoContention, PressureLowersTheBoundToAQuarter) {
  Contention contention;
  IoLoad load = kWaiting;
  load.queue_time = milliseconds(40);
  contention.modest_does(load);
  contention.facts.host.io_full_ratio = 0.39;
  EXPECT_EQ(contention.found_in(20), 0);
  contention.facts.host.io_full_ratio = 0.4;
  EXPECT_EQ(contention.found_in(3), 1);
  EXPECT_TRUE(evidence_of(contention.after(1).at(0)).pressure_high);
  contention.facts.host.io_full_ratio = 0.2;  // half of it is enough for what is open
  EXPECT_EQ(contention.found_in(20), 20);
  contention.facts.host.io_full_ratio = 0.19;
  EXPECT_EQ(contention.found_in(20), 0);
}

TEST(IoContention, PressureAloneIsNone) {
  Contention contention;
  contention.facts.host.io_full_ratio = 1;
  EXPECT_EQ(contention.found_in(60), 0);
}

TEST(IoContention, UnknownPressureIsNotZeroPressureNorIsItNeeded) {
  Contention contention;
  contention.facts.host.io_full_ratio.reset();
  contention.modest_does(kWaiting);
  EXPECT_EQ(contention.after(5).size(), 1U);
}

TEST(IoContention, WithoutHistogramsNothingIsKnown) {
  Contention contention;
  contention.modest_does(kWaiting);
  contention.after(5);
  contention.host.set_counts_only(true);
  EXPECT_FALSE(contention.tick().has_value());
  contention.host.set_counts_only(false);
  EXPECT_TRUE(contention.tick().has_value());
}

TEST(IoContention, IsToldTheSameForTenSeconds) {
  Contention contention;
  contention.modest_does(kWaiting);
  contention.after(5);
  const Finding first = contention.after(1).at(0);
  IoLoad more = kNoisy;
  more.per_second = 800;
  contention.host.set_load(contention.noisy, kDisk, IoOperation::kRead, more);
  EXPECT_EQ(evidence_of(contention.after(5).at(0)), evidence_of(first));
  const Finding later = contention.after(6).at(0);
  EXPECT_GT(evidence_of(later).in_device_count, evidence_of(first).in_device_count);
  EXPECT_EQ(later.event_time, first.event_time);
}

TEST(IoContention, TheHostItselfIsAVictimAndACulpritToo) {
  Contention contention;
  contention.host.set_load(std::nullopt, kDisk, IoOperation::kWrite, kWaiting);
  auto found = contention.after(5);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_FALSE(evidence_of(found[0]).victims.at(0).vm.has_value());
  EXPECT_NE(found[0].summary.find("the host itself waits"), std::string::npos);
  Contention backup;
  backup.host.set_load(backup.noisy, kDisk, IoOperation::kRead, {});
  backup.host.set_load(std::nullopt, kDisk, IoOperation::kRead, kNoisy);
  backup.modest_does(kWaiting);
  found = backup.after(5);
  EXPECT_NE(found.at(0).summary.find("the host itself takes"), std::string::npos);
}

TEST(IoContention, ListsAreBoundedAndWhatIsLeftOutIsCounted) {
  Contention contention;
  for (int i = 0; i < 40; ++i) {
    const VmId vm = contention.host.add_vm("web" + std::to_string(i), 100 + i);
    contention.host.set_load(vm, kDisk, IoOperation::kRead, kWaiting);
  }
  const auto found = contention.after(5);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(evidence_of(found[0]).victims.size(), kMaxContentionParties);
  EXPECT_EQ(evidence_of(found[0]).left_out_victim_count, 40 - kMaxContentionParties);
  EXPECT_EQ(evidence_of(found[0]).left_out_culprit_count, 0U);
  EXPECT_EQ(evidence_of(found[0]).party_count, 42U);
}

TEST(IoContention, EachDeviceIsItsOwnIncident) {
  Contention contention;
  const DeviceId second{8, 16};
  contention.host.set_load(contention.noisy, second, IoOperation::kRead, kNoisy);
  contention.host.set_load(contention.modest, second, IoOperation::kRead, kWaiting);
  contention.modest_does(kWaiting);
  const auto found = contention.after(5);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].subject.key, "dev:8:0");
  EXPECT_EQ(found[1].subject.key, "dev:8:16");
}

TEST(IoContention, ARestartNeedsNoSecondProof) {
  Contention contention;
  Incident incident;
  incident.kind = IncidentKind::kIoContention;
  incident.subject.device = kDisk;
  incident.event_time = Host::kStart - seconds(100);
  restore_io_contention(contention.state, {incident});
  IoLoad less = kWaiting;
  less.queue_time = milliseconds(70);  // by half the bound
  contention.modest_does(less);
  const auto found = contention.after(2);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].event_time, incident.event_time);
  incident.state = IncidentState::kResolved;
  Contention resolved;
  restore_io_contention(resolved.state, {incident});
  resolved.modest_does(less);
  EXPECT_EQ(resolved.found_in(10), 0);
}

TEST(IoContention, WhatIsOverIsForgotten) {
  Contention contention;
  contention.modest_does(kWaiting);
  contention.after(5);
  contention.modest_does(kModest);
  contention.after(12);
  EXPECT_TRUE(contention.state.devices.empty());
  contention.modest_does(kWaiting);
  contention.after(1);
  EXPECT_EQ(contention.state.devices.size(), 1U);
  contention.host.remove_vm("web01");
  contention.after(1);
  EXPECT_TRUE(contention.state.devices.empty());
}

}  // namespace
}  // namespace hvguard
