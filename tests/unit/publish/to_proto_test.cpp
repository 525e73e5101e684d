#include "publish/to_proto.h"

#include <limits>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace hvguard::publish {
namespace {

// Every published value but "not set" must come from exactly one enumerator, and none may be left
// over: a value that was added on one side alone fails here.
template <class Enum>
void expect_one_to_one(const google::protobuf::EnumDescriptor& published,
                       int enumerators,
                       bool first_is_unspecified) {
  std::set<int> seen;
  for (int i = 0; i < enumerators; ++i) {
    const int value = to_proto(static_cast<Enum>(i));
    EXPECT_EQ(value == 0, first_is_unspecified && i == 0) << published.full_name() << " " << i;
    EXPECT_TRUE(seen.insert(value).second) << published.full_name() << " " << value << " twice";
    EXPECT_NE(published.FindValueByNumber(value), nullptr);
  }
  EXPECT_EQ(static_cast<int>(seen.size()) + (first_is_unspecified ? 0 : 1), published.value_count())
      << published.full_name();
}

TEST(Enums, MapOneToOne) {
  expect_one_to_one<VmNameSource>(*v1::Vm::NameSource_descriptor(), 4, false);
  expect_one_to_one<VmManager>(*v1::Vm::Manager_descriptor(), 5, true);
  expect_one_to_one<Accelerator>(*v1::Vm::Accelerator_descriptor(), 3, true);
  expect_one_to_one<IoAttribution>(*v1::Vm::IoAttribution_descriptor(), 3, true);
  expect_one_to_one<BlockedClass>(*v1::BlockedTask::State_descriptor(), 4, false);
  expect_one_to_one<IncidentKind>(
      *v1::Incident::Kind_descriptor(), static_cast<int>(kIncidentKindCount), false);
  expect_one_to_one<IncidentState>(*v1::Incident::State_descriptor(), 2, false);
  expect_one_to_one<Severity>(*v1::Incident::Severity_descriptor(), 3, false);
  expect_one_to_one<HungTaskCause>(*v1::HungTaskEvidence::Cause_descriptor(), 11, false);
  expect_one_to_one<VmTopologyEvidence::Problem>(
      *v1::VmTopologyEvidence::Problem_descriptor(), 4, false);
  expect_one_to_one<ConditionKind>(
      *v1::Condition::Kind_descriptor(), static_cast<int>(kConditionKindCount), false);
  expect_one_to_one<ConditionState>(*v1::Condition::State_descriptor(), 3, false);
  expect_one_to_one<Schedulable>(*v1::ScheduleAdvice::State_descriptor(), 4, false);
  expect_one_to_one<SourceState>(*v1::SourceStatus::State_descriptor(), 4, false);
}

// The names must say the same, so that no two values are swapped.
TEST(Enums, NamesAgree) {
  EXPECT_EQ(to_proto(IncidentKind::kVmTopology), v1::Incident::KIND_VM_TOPOLOGY);
  EXPECT_EQ(to_proto(BlockedClass::kKillable), v1::BlockedTask::STATE_KILLABLE);
  EXPECT_EQ(to_proto(ConditionState::kFalse), v1::Condition::STATE_FALSE);
  EXPECT_EQ(to_proto(ConditionState::kTrue), v1::Condition::STATE_TRUE);
  EXPECT_EQ(to_proto(Schedulable::kNo), v1::ScheduleAdvice::STATE_NO);
  EXPECT_EQ(to_proto(Severity::kCritical), v1::Incident::SEVERITY_CRITICAL);
  EXPECT_EQ(to_proto(HungTaskCause::kOther), v1::HungTaskEvidence::CAUSE_OTHER);
}

TEST(Times, NanosAlwaysCountForward) {
  const auto before = to_proto(WallTime{Nanoseconds(-1)});
  EXPECT_EQ(before.seconds(), -1);
  EXPECT_EQ(before.nanos(), 999'999'999);
  const ClockPair clocks{{std::chrono::seconds(100)}, {std::chrono::seconds(1000)}};
  EXPECT_EQ(to_proto(BootTime{std::chrono::seconds(40)}, clocks).seconds(), 940);
  EXPECT_EQ(to_proto(WallTime{Nanoseconds(std::numeric_limits<std::int64_t>::min())}).nanos(),
            145'224'192);
}

struct OneVm {
  std::shared_ptr<Snapshot> snapshot = std::make_shared<Snapshot>();
  TickResult result;
  VmId id{4711, {std::chrono::seconds(50)}, {23}};

  OneVm() {
    snapshot->tick = 7;
    snapshot->boot_time = {std::chrono::seconds(100)};
    snapshot->wall_time = {std::chrono::seconds(1'000'100)};
    VmReading vm;
    vm.id = id;
    vm.identity.name = "web";
    vm.found_time = {std::chrono::seconds(60)};
    snapshot->vms.push_back(vm);
    result.snapshot = snapshot;
  }
};

TEST(Vms, WhatIsMissingIsAbsent) {
  const OneVm one;
  const std::vector<v1::Vm> vms = vms_to_proto(one.result);
  ASSERT_EQ(vms.size(), 1U);
  const v1::Vm& vm = vms[0];
  EXPECT_EQ(vm.vm_id(), to_string(one.id));
  EXPECT_EQ(vm.pid(), 4711U);
  EXPECT_EQ(vm.start_time().seconds(), 1'000'050);
  EXPECT_EQ(vm.watched_duration().seconds(), 40);
  EXPECT_FALSE(vm.has_guest_memory_bytes());
  EXPECT_FALSE(vm.has_vcpu_count());
  EXPECT_FALSE(vm.has_cpu_cores());
  EXPECT_FALSE(vm.has_memory_bytes());
  EXPECT_FALSE(vm.has_task_max_count());
  EXPECT_FALSE(vm.has_io_pressure());
  EXPECT_FALSE(vm.read_rates().has_bytes_per_second());
}

TEST(Vms, JoinTheirFactsDevicesAndIncidents) {
  OneVm one;
  DeviceReading& disk = one.snapshot->devices.emplace_back();
  disk.id = {8, 0};
  disk.name = "sda";
  VmCgroupReading& cgroup = one.snapshot->vms[0].cgroup.emplace();
  cgroup.memory_bytes = 5;
  cgroup.pids_count = 6;
  BlockIoReading io;
  io.vm = one.id;
  io.device = {8, 0};
  io.in_flight_count = 3;
  io.by_operation[1].bytes.value = 4096;
  io.by_operation[1].queue_time[2] = 9;
  io.by_operation[1].device_time[1] = 7;
  one.snapshot->block_io = {io, BlockIoReading{}};  // the second belongs to no VM
  VmFacts facts;
  facts.id = one.id;
  facts.cpu_cores = 0.5;
  facts.write.bytes_per_second = 77;
  VmDeviceFacts& device_facts = facts.devices.emplace_back();
  device_facts.device = {8, 0};
  device_facts.write_latency.p99 = std::chrono::milliseconds(3);
  one.result.facts.vms = {VmFacts{}, facts};
  Incident open;
  open.id = "i1";
  open.subject.vm = one.id;
  Incident over = open;
  over.id = "i2";
  over.state = IncidentState::kResolved;
  one.result.incidents = {open, over};
  const v1::Vm vm = vms_to_proto(one.result).at(0);
  EXPECT_EQ(vm.cpu_cores(), 0.5);
  EXPECT_EQ(vm.memory_bytes(), 5U);
  EXPECT_EQ(vm.task_count(), 6U);
  EXPECT_EQ(vm.write_rates().bytes_per_second(), 77);
  ASSERT_EQ(vm.device_ios_size(), 1);
  const v1::VmDeviceIo& device = vm.device_ios(0);
  EXPECT_EQ(device.device().name(), "sda");
  EXPECT_EQ(device.in_flight_count(), 3U);
  EXPECT_EQ(device.write_totals().bytes(), 4096U);
  ASSERT_EQ(device.write_totals().queue_time_buckets_size(), 3);  // trailing zeros are left out
  EXPECT_EQ(device.write_totals().queue_time_buckets(2), 9U);
  ASSERT_EQ(device.write_totals().device_time_buckets_size(), 2);
  EXPECT_EQ(device.write_totals().device_time_buckets(1), 7U);
  EXPECT_EQ(device.read_totals().queue_time_buckets_size(), 0);
  EXPECT_EQ(device.write_latency().p99_duration().nanos(), 3'000'000);
  EXPECT_FALSE(device.write_latency().has_p50_duration());
  ASSERT_EQ(vm.open_incident_ids_size(), 1);
  EXPECT_EQ(vm.open_incident_ids(0), "i1");
}

TEST(Vms, AreNamedByAHungTaskThatSpansSeveral) {
  OneVm one;
  Incident spanning;
  spanning.id = "i1";
  HungTaskEvidence hung;
  hung.vms = {VmId{}, one.id};
  spanning.evidence = hung;
  Incident elsewhere;
  elsewhere.id = "i2";
  hung.vms = {VmId{}};
  elsewhere.evidence = hung;
  one.result.incidents = {spanning, elsewhere};
  const v1::Vm vm = vms_to_proto(one.result).at(0);
  ASSERT_EQ(vm.open_incident_ids_size(), 1);
  EXPECT_EQ(vm.open_incident_ids(0), "i1");
}

TEST(Vms, AreNamedByContentionAsVictimsAndAsCulprits) {
  OneVm one;
  Incident suffers;
  suffers.id = "i1";
  IoContentionEvidence evidence;
  evidence.victims.resize(2);  // the host itself, and
  evidence.victims[1].vm = one.id;
  suffers.evidence = evidence;
  Incident causes;
  causes.id = "i2";
  std::swap(evidence.victims, evidence.culprits);
  causes.evidence = evidence;
  one.result.incidents = {suffers, causes};
  EXPECT_EQ(vms_to_proto(one.result).at(0).open_incident_ids_size(), 2);
}

TEST(BlockedTasks, LongestFirstAndSafe) {
  OneVm one;
  TaskPass pass;
  BlockedTask late;
  late.id.tid = 1;
  late.off_cpu_since = BootTime{std::chrono::seconds(90)};
  BlockedTask unknown;
  unknown.id.tid = 2;
  BlockedTask early;
  early.id.tid = 3;
  early.off_cpu_since = BootTime{std::chrono::seconds(10)};
  early.comm = "a\x1b[2J\n";
  early.stack = {"io_schedule"};
  early.lock = LockWait{LockType::kMutex, 99};
  pass.blocked = {late, unknown, early};
  one.snapshot->tasks = pass;
  one.result.facts.vm_of_blocked = {std::nullopt, std::nullopt, one.id};
  const std::vector<v1::BlockedTask> tasks = blocked_tasks_to_proto(one.result);
  ASSERT_EQ(tasks.size(), 3U);
  EXPECT_EQ(tasks[0].tid(), 3U);
  EXPECT_EQ(tasks[0].comm(), "a\\x1b[2J\\x0a");
  EXPECT_EQ(tasks[0].vm_id(), to_string(one.id));
  EXPECT_EQ(tasks[0].lock_type(), "mutex");
  EXPECT_EQ(tasks[0].lock_owner_tid(), 99U);
  EXPECT_EQ(tasks[1].tid(), 1U);
  EXPECT_EQ(tasks[2].tid(), 2U);
  EXPECT_FALSE(tasks[2].has_blocked_since_time());
}

TEST(Status, CountsAndSources) {
  OneVm one;
  TaskPass pass;
  pass.blocked.resize(3);
  pass.blocked[0].blocked_class = BlockedClass::kHard;
  pass.blocked[1].blocked_class = BlockedClass::kUnknown;
  pass.blocked[2].blocked_class = BlockedClass::kKillable;
  pass.killable_count = 5000;  // more than the list holds
  one.snapshot->tasks = pass;
  for (std::size_t i = 0; i < kSourceCount; ++i) {
    one.snapshot->sources.at(i) = {static_cast<Source>(i), SourceState::kOk, "", {}, i};
  }
  Incident critical;
  critical.severity = Severity::kCritical;
  Incident over = critical;
  over.state = IncidentState::kResolved;
  one.result.incidents = {critical, over};
  AgentFigures agent;
  agent.epoch = 9;
  agent.drops.log_count = 3;
  const v1::Status status = status_to_proto(one.result, agent, {});
  EXPECT_EQ(status.counts().vm_count(), 1U);
  EXPECT_EQ(status.counts().blocked_task_count(), 2U);
  EXPECT_EQ(status.counts().killable_task_count(), 5000U);
  one.snapshot->tasks->killable_count.reset();  // /proc cannot tell
  EXPECT_FALSE(status_to_proto(one.result, agent, {}).counts().has_killable_task_count());
  EXPECT_EQ(status.counts().critical_incident_count(), 1U);
  ASSERT_EQ(status.sources_size(), static_cast<int>(kSourceCount));
  EXPECT_EQ(status.sources(1).source(), "block_io");
  EXPECT_EQ(status.sources(1).dropped_count(), 1U);
  EXPECT_FALSE(status.sources(1).has_last_good_time());
  EXPECT_EQ(status.observe_time().seconds(), 1'000'100);
  EXPECT_EQ(status.host().boot_time().seconds(), 1'000'000);
  EXPECT_EQ(status.agent().drops().log_count(), 3U);
  EXPECT_EQ(status.agent().mode(), v1::AgentStatus::MODE_OBSERVE);
  EXPECT_FALSE(status.agent().has_resident_bytes());
}

TEST(Status, WithoutASnapshotTellsOfNoReading) {
  TickResult result;
  result.conditions = {Condition{}};
  const v1::Status status =
      status_to_proto(result, {}, {{Nanoseconds(0)}, {std::chrono::seconds(5)}});
  EXPECT_FALSE(status.has_observe_time());
  EXPECT_FALSE(status.has_host());
  EXPECT_EQ(status.sources_size(), 0);
  EXPECT_EQ(status.conditions_size(), 1);
  EXPECT_TRUE(vms_to_proto(result).empty());
  EXPECT_TRUE(blocked_tasks_to_proto(result).empty());
}

TEST(Incidents, CarryTheEvidenceOfTheirKind) {
  const ClockPair clocks{{std::chrono::seconds(100)}, {std::chrono::seconds(1000)}};
  Incident incident;
  incident.subject.device = DeviceId{8, 0};
  incident.event_time = {std::chrono::seconds(10)};
  IoStallEvidence stall;
  stall.in_flight_count = 4;
  stall.device_suspended = true;
  incident.evidence = stall;
  v1::Incident out = to_proto(incident, clocks, DeviceNames{{{8, 0}, "sda"}});
  EXPECT_EQ(out.device().name(), "sda");
  EXPECT_EQ(out.event_time().seconds(), 910);
  EXPECT_FALSE(out.has_resolve_time());
  EXPECT_FALSE(out.has_decide_time());
  EXPECT_EQ(out.evidence().io_stall().in_flight_count(), 4U);
  EXPECT_TRUE(out.evidence().io_stall().device_suspended());
  HungTaskEvidence hung;
  hung.cause = HungTaskCause::kKvm;
  incident.evidence = hung;
  EXPECT_EQ(to_proto(incident, clocks, {}).evidence().hung_task().cause(),
            v1::HungTaskEvidence::CAUSE_KVM);
  PanicForecastEvidence forecast;
  forecast.tasks_needed = 3;
  forecast.scan_cut_short = true;
  incident.evidence = forecast;
  EXPECT_EQ(to_proto(incident, clocks, {}).evidence().panic_forecast().needed_task_count(), 3U);
  EXPECT_TRUE(to_proto(incident, clocks, {}).evidence().panic_forecast().scan_cut_short());
  IoContentionEvidence contention;
  contention.victims.resize(1);
  contention.victims[0].name = "web01";
  contention.victims[0].vm = VmId{};
  contention.victims[0].write_p99 = std::chrono::milliseconds(1500);
  contention.culprits.resize(2);
  contention.culprits[1].device_time_ratio = 0.25;
  contention.left_out_victim_count = 3;
  contention.left_out_culprit_count = 4;
  contention.party_count = 10;
  contention.fair_ratio = 0.1;
  contention.in_device_count = 6.5;
  contention.latency_bound = std::chrono::milliseconds(128);
  contention.pressure_high = true;
  incident.evidence = contention;
  const v1::Incident contended = to_proto(incident, clocks, {});
  const auto& told = contended.evidence().io_contention();
  EXPECT_EQ(told.victims(0).name(), "web01");
  EXPECT_EQ(told.victims(0).vm_id(), to_string(VmId{}));
  EXPECT_EQ(told.victims(0).write_p99_duration().seconds(), 1);
  EXPECT_FALSE(told.victims(0).has_read_p99_duration());
  EXPECT_EQ(told.culprits(1).device_time_ratio(), 0.25);
  EXPECT_TRUE(told.culprits(1).vm_id().empty());
  EXPECT_EQ(told.left_out_victim_count(), 3U);
  EXPECT_EQ(told.left_out_culprit_count(), 4U);
  EXPECT_EQ(told.party_count(), 10U);
  EXPECT_EQ(told.fair_ratio(), 0.1);
  EXPECT_EQ(told.in_device_count(), 6.5);
  EXPECT_EQ(told.latency_bound_duration().nanos(), 128'000'000);
  EXPECT_TRUE(told.pressure_high());
  VmTopologyEvidence topology;
  topology.problems = {VmTopologyEvidence::Problem::kKillMode};
  incident.evidence = topology;
  EXPECT_EQ(to_proto(incident, clocks, {}).evidence().vm_topology().problems(0),
            v1::VmTopologyEvidence::PROBLEM_KILL_MODE);
  AgentBlindEvidence blind;
  blind.source = Source::kTasks;
  blind.sampler_late = true;
  incident.evidence = blind;
  EXPECT_TRUE(to_proto(incident, clocks, {}).evidence().agent_blind().sampler_late());
  EXPECT_EQ(to_proto(incident, clocks, {}).evidence().agent_blind().source(), "tasks");
  incident.evidence = std::monostate{};
  EXPECT_FALSE(to_proto(incident, clocks, {}).has_evidence());
}

}  // namespace
}  // namespace hvguard::publish
