// Model → published proto: the only place where the two meet. Pure; the loop thread.
// Every text that came from a stranger and is not yet safe by its model comment is made safe here.
// What is absent in the model is absent in the proto.
#pragma once

#include <map>
#include <string_view>
#include <vector>

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include "hvguard/v1/blocked_task.pb.h"
#include "hvguard/v1/condition.pb.h"
#include "hvguard/v1/incident.pb.h"
#include "hvguard/v1/io.pb.h"
#include "hvguard/v1/status.pb.h"
#include "hvguard/v1/vm.pb.h"
#include "model/tick_result.h"
#include "publish/agent_figures.h"

namespace hvguard::publish {

// One moment on both clocks: what turns a BootTime into a Timestamp.
struct ClockPair {
  BootTime boot;
  WallTime wall;
};

[[nodiscard]] google::protobuf::Timestamp to_proto(WallTime time);
[[nodiscard]] google::protobuf::Timestamp to_proto(BootTime time, const ClockPair& clocks);
[[nodiscard]] google::protobuf::Duration to_proto(Nanoseconds duration);

[[nodiscard]] v1::Vm::NameSource to_proto(VmNameSource source);
[[nodiscard]] v1::Vm::Manager to_proto(VmManager manager);
[[nodiscard]] v1::Vm::Accelerator to_proto(Accelerator accelerator);
[[nodiscard]] v1::Vm::IoAttribution to_proto(IoAttribution attribution);
[[nodiscard]] v1::BlockedTask::State to_proto(BlockedClass blocked_class);
[[nodiscard]] v1::Incident::Kind to_proto(IncidentKind kind);
[[nodiscard]] v1::Incident::State to_proto(IncidentState state);
[[nodiscard]] v1::Incident::Severity to_proto(Severity severity);
[[nodiscard]] v1::HungTaskEvidence::Cause to_proto(HungTaskCause cause);
[[nodiscard]] v1::VmTopologyEvidence::Problem to_proto(VmTopologyEvidence::Problem problem);
[[nodiscard]] v1::Condition::Kind to_proto(ConditionKind kind);
[[nodiscard]] v1::Condition::State to_proto(ConditionState state);
[[nodiscard]] v1::ScheduleAdvice::State to_proto(Schedulable schedulable);
[[nodiscard]] v1::SourceStatus::State to_proto(SourceState state);

// Kernel names of the devices; the views live as long as the Snapshot. Empty without one.
using DeviceNames = std::map<DeviceId, std::string_view>;
[[nodiscard]] DeviceNames device_names(const TickResult& result);

[[nodiscard]] v1::Device to_proto(DeviceId id, const DeviceNames& names);
[[nodiscard]] v1::IoRates to_proto(const IoRates& rates);

// With evidence.
[[nodiscard]] v1::Incident to_proto(const Incident& incident,
                                    const ClockPair& clocks,
                                    const DeviceNames& names);
[[nodiscard]] v1::Condition to_proto(const Condition& condition, const ClockPair& clocks);

// All VMs with their devices, in the Snapshot's order. None without a Snapshot.
[[nodiscard]] std::vector<v1::Vm> vms_to_proto(const TickResult& result);
// All blocked tasks, longest blocked first, those without a time last.
[[nodiscard]] std::vector<v1::BlockedTask> blocked_tasks_to_proto(const TickResult& result);
// `now` gives the clocks where there is no Snapshot.
[[nodiscard]] v1::Status status_to_proto(const TickResult& result,
                                         const AgentFigures& agent,
                                         const ClockPair& now);

// The Snapshot's clocks, else `now`.
[[nodiscard]] ClockPair clocks_of(const TickResult& result, const ClockPair& now);

}  // namespace hvguard::publish
