#include <variant>

#include "base/text.h"
#include "model/names.h"
#include "publish/spool_report.h"
#include "publish/to_proto.h"

namespace hvguard::publish {
namespace {

v1::IncidentTask task_to_proto(const HungTaskMember& member, const ClockPair& clocks) {
  v1::IncidentTask out;
  out.set_tid(static_cast<std::uint32_t>(member.id.tid));
  out.set_pid(static_cast<std::uint32_t>(member.tgid));
  out.set_comm(member.comm);
  *out.mutable_blocked_since_time() = to_proto(member.blocked_since, clocks);
  if (member.vm) {
    out.set_vm_id(to_string(*member.vm));
  }
  return out;
}

v1::IoContentionParty party_to_proto(const IoContentionParty& party) {
  v1::IoContentionParty out;
  if (party.vm) {
    out.set_vm_id(to_string(*party.vm));
  }
  out.set_name(party.name);
  out.set_device_time_ratio(party.device_time_ratio);
  if (party.read_p99) {
    *out.mutable_read_p99_duration() = to_proto(*party.read_p99);
  }
  if (party.write_p99) {
    *out.mutable_write_p99_duration() = to_proto(*party.write_p99);
  }
  return out;
}

struct EvidenceWriter {
  v1::IncidentEvidence& out;
  const ClockPair& clocks;

  void operator()(std::monostate) const {}

  void operator()(const HungTaskEvidence& evidence) const {
    auto& to = *out.mutable_hung_task();
    to.set_cause(to_proto(evidence.cause));
    to.set_task_count(evidence.task_count);
    for (const HungTaskMember& member : evidence.members) {
      *to.add_tasks() = task_to_proto(member, clocks);
    }
    for (const VmId& vm : evidence.vms) {
      to.add_vm_ids(to_string(vm));
    }
    for (const std::string& function : evidence.stack) {
      to.add_stack(safe_text(function, 128));
    }
    if (evidence.lock_type) {
      to.set_lock_type(std::string(to_string(*evidence.lock_type)));
    }
    if (evidence.lock_owner_tid) {
      to.set_lock_owner_tid(static_cast<std::uint32_t>(*evidence.lock_owner_tid));
    }
    to.set_lock_owner_comm(evidence.lock_owner_comm);
  }

  void operator()(const PanicForecastEvidence& evidence) const {
    auto& to = *out.mutable_panic_forecast();
    *to.mutable_earliest_time() = to_proto(evidence.earliest, clocks);
    *to.mutable_latest_time() = to_proto(evidence.latest, clocks);
    to.mutable_timeout_duration()->set_seconds(static_cast<std::int64_t>(evidence.timeout_seconds));
    *to.mutable_scan_period_duration() = to_proto(evidence.scan_period);
    to.set_needed_task_count(evidence.tasks_needed);
    to.set_scan_phase_known(evidence.phase_known);
    to.set_upper_bound(evidence.upper_bound);
    for (const HungTaskMember& member : evidence.tasks) {
      *to.add_tasks() = task_to_proto(member, clocks);
    }
    to.set_reboots(evidence.reboots_afterwards);
    to.set_scan_cut_short(evidence.scan_cut_short);
  }

  void operator()(const IoStallEvidence& evidence) const {
    auto& to = *out.mutable_io_stall();
    to.set_in_flight_count(evidence.in_flight_count);
    *to.mutable_stalled_since_time() = to_proto(evidence.stalled_since, clocks);
    if (evidence.device_suspended) {
      to.set_device_suspended(*evidence.device_suspended);
    }
  }

  void operator()(const IoContentionEvidence& evidence) const {
    auto& to = *out.mutable_io_contention();
    for (const IoContentionParty& victim : evidence.victims) {
      *to.add_victims() = party_to_proto(victim);
    }
    for (const IoContentionParty& culprit : evidence.culprits) {
      *to.add_culprits() = party_to_proto(culprit);
    }
    to.set_left_out_victim_count(static_cast<std::uint32_t>(evidence.left_out_victim_count));
    to.set_left_out_culprit_count(static_cast<std::uint32_t>(evidence.left_out_culprit_count));
    to.set_party_count(static_cast<std::uint32_t>(evidence.party_count));
    to.set_fair_ratio(evidence.fair_ratio);
    to.set_in_device_count(evidence.in_device_count);
    *to.mutable_latency_bound_duration() = to_proto(evidence.latency_bound);
    to.set_pressure_high(evidence.pressure_high);
  }

  void operator()(const VmTopologyEvidence& evidence) const {
    auto& to = *out.mutable_vm_topology();
    for (const VmTopologyEvidence::Problem problem : evidence.problems) {
      to.add_problems(to_proto(problem));
    }
    to.set_remedy(evidence.remedy);
  }

  void operator()(const UncleanRebootEvidence& evidence) const {
    auto& to = *out.mutable_unclean_reboot();
    *to.mutable_previous_boot() = to_proto(*evidence.previous_boot);
    if (evidence.down_time) {
      *to.mutable_down_duration() = to_proto(*evidence.down_time);
    }
  }

  void operator()(const AgentBlindEvidence& evidence) const {
    auto& to = *out.mutable_agent_blind();
    to.set_source(std::string(to_string(evidence.source)));
    to.set_degraded(evidence.degraded);
    to.set_detail(evidence.detail);
    to.set_sampler_late(evidence.sampler_late);
  }
};

}  // namespace

v1::Incident to_proto(const Incident& incident, const ClockPair& clocks, const DeviceNames& names) {
  v1::Incident out;
  out.set_incident_id(incident.id);
  out.set_kind(to_proto(incident.kind));
  out.set_state(to_proto(incident.state));
  out.set_severity(to_proto(incident.severity));
  out.set_peak_severity(to_proto(incident.peak_severity));
  out.set_subject_key(incident.subject.key);
  out.set_subject_label(incident.subject.label);
  if (incident.subject.vm) {
    out.set_vm_id(to_string(*incident.subject.vm));
  }
  if (incident.subject.device) {
    *out.mutable_device() = to_proto(*incident.subject.device, names);
  }
  out.set_summary(incident.summary);
  *out.mutable_event_time() = to_proto(incident.event_time, clocks);
  *out.mutable_detect_time() = to_proto(incident.detect_time, clocks);
  if (incident.decide_time) {
    *out.mutable_decide_time() = to_proto(*incident.decide_time, clocks);
  }
  if (incident.resolve_time) {
    *out.mutable_resolve_time() = to_proto(*incident.resolve_time, clocks);
  }
  out.set_revision(incident.revision);
  out.set_reopen_count(incident.reopen_count);
  if (incident.acknowledgement) {
    auto& acknowledgement = *out.mutable_acknowledgement();
    *acknowledgement.mutable_acknowledge_time() = to_proto(incident.acknowledgement->time);
    acknowledgement.set_who(incident.acknowledgement->who);
    acknowledgement.set_reason(incident.acknowledgement->reason);
  }
  if (!std::holds_alternative<std::monostate>(incident.evidence)) {
    std::visit(EvidenceWriter{*out.mutable_evidence(), clocks}, incident.evidence);
  }
  return out;
}

v1::Condition to_proto(const Condition& condition, const ClockPair& clocks) {
  v1::Condition out;
  out.set_kind(to_proto(condition.kind));
  out.set_state(to_proto(condition.state));
  out.set_reason(condition.reason);
  out.set_message(condition.message);
  *out.mutable_last_transition_time() = to_proto(condition.last_transition, clocks);
  return out;
}

}  // namespace hvguard::publish
