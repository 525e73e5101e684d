#include "ctl/explain.h"

#include <string_view>

#include <fmt/format.h>

#include "base/text.h"
#include "ctl/format.h"

namespace hvguard::ctl {
namespace {

using Cause = v1::HungTaskEvidence;

struct Text {
  std::string_view meaning;
  std::string_view remedy;
};

Text hung_task_text(Cause::Cause cause) {
  switch (cause) {
    case Cause::CAUSE_BLOCK_IO:
      return {
          "  The tasks wait for requests of a block device that do not complete.\n",
          "  Look at the disk beneath: `hvguardctl status` (DISK), `dmesg`, multipath and SAN or\n"
          "  NVMe health. Move the VMs away while their disks still answer.\n"};
    case Cause::CAUSE_FILESYSTEM_JOURNAL:
      return {
          "  The tasks wait for the journal of a file system; one slow writer holds up all\n"
          "  others on that file system.\n",
          "  Find the disk beneath the file system and who writes to it: `hvguardctl vms --sort\n"
          "  io`. Do not throttle writes on it, that lengthens the wait.\n"};
    case Cause::CAUSE_KVM:
      return {
          "  The tasks wait inside KVM for another thread of their VM.\n",
          "  Compare `hvguardctl tasks --stack`; the thread that is not in KVM is the cause.\n"};
    case Cause::CAUSE_SWAP_IN:
      return {"  The tasks wait for pages that the host swapped out.\n",
              "  Free memory on the host or move VMs away: `hvguardctl vms --sort memory`.\n"};
    case Cause::CAUSE_RECLAIM:
      return {"  The tasks wait while the kernel looks for memory to free.\n",
              "  Free memory on the host or move VMs away: `hvguardctl vms --sort memory`.\n"};
    case Cause::CAUSE_LOCK:
      return {
          "  The tasks wait for a lock; whoever holds it is the cause, not they.\n",
          "  Look at the lock's owner in the evidence: `hvguardctl tasks --stack` shows what it\n"
          "  waits for itself.\n"};
    case Cause::CAUSE_FROZEN_FS:
      return {
          "  The file system is frozen (fsfreeze): its writers wait until it is thawed.\n",
          "  A backup or snapshot was likely left half done. Thaw it: `fsfreeze -u MOUNTPOINT`.\n"};
    case Cause::CAUSE_SUSPENDED_DM:
      return {"  The device-mapper device is suspended: nothing reaches the disk.\n",
              "  Likely a change of LVM or multipath stopped half way. `dmsetup info` shows it,\n"
              "  `dmsetup resume DEVICE` ends it.\n"};
    case Cause::CAUSE_NETWORK_FS:
      return {"  The tasks wait for a server of a network file system.\n",
              "  Look at the server and the network between: `nfsstat -m`, `ceph -s`, `dmesg`.\n"};
    case Cause::CAUSE_THROTTLED_BY_US:
      return {"  The tasks wait because of a limit that hvguard set.\n",
              "  hvguard loosens it by itself; if not, switch to mode \"observe\" and restart "
              "hvguardd.\n"};
    default:
      return {"  The kernel function that the tasks sleep in is none that hvguard knows.\n",
              "  Look at their stacks: `hvguardctl tasks --stack`.\n"};
  }
}

Text kind_explanation(const v1::Incident& incident) {
  switch (incident.kind()) {
    case v1::Incident::KIND_HUNG_TASK:
      return hung_task_text(incident.evidence().hung_task().cause());
    case v1::Incident::KIND_PANIC_FORECAST:
      return {
          "  kernel.hung_task_panic is set, and enough tasks are blocked: the kernel will panic\n"
          "  in the window above, and take every VM of this host with it, unless they wake up.\n",
          "  Repair what the tasks wait for (`hvguardctl incidents` names it), or gain time:\n"
          "  `sysctl kernel.hung_task_panic=0`. Move VMs away first if they still move.\n"};
    case v1::Incident::KIND_IO_STALL:
      return {
          "  Requests of this VM are in the device and none completes. Tasks may wait in a way\n"
          "  that the kernel's own watchdog does not see.\n",
          "  Look at the device: `dmesg`, `hvguardctl vm NAME`, SAN or NVMe health. A suspended\n"
          "  device-mapper device: `dmsetup resume DEVICE`.\n"};
    case v1::Incident::KIND_IO_CONTENTION:
      return {
          "  Several use this device, and the victims' requests take longer than they should "
          "while\n"
          "  they take no more than a fair share of it themselves. Without culprits the device is\n"
          "  too slow for all of them together.\n",
          "  See what the culprits do (`hvguardctl vm NAME`), and move or limit one: reads first,\n"
          "  writes never on a file system that others share. Nobody in particular: move a VM\n"
          "  away, or look at the device's health (`dmesg`, SMART).\n"};
    case v1::Incident::KIND_VM_TOPOLOGY:
      return {
          "  The VM works, but lives in a place where it cannot be limited alone, or dies with\n"
          "  something else.\n",
          "  Give each VM a scope or service of its own; the evidence has the command.\n"};
    case v1::Incident::KIND_UNCLEAN_REBOOT:
      return {
          "  The boot before this one ended without a clean stop: a panic, a reset or lost power.\n"
          "  Every VM of this host ended with it.\n",
          "  A panic message names the cause. Without one: the BMC's event log, `last -x`,\n"
          "  `journalctl -b -1 -e`. The incidents that were open then are the first suspects.\n"};
    case v1::Incident::KIND_AGENT_BLIND:
      return {"  hvguard cannot see part of what it watches: no news about it is no good news.\n",
              "  The evidence says why. `hvguardctl status` shows all sources, and\n"
              "  `journalctl -u hvguardd` what happened.\n"};
    default:
      return {"  This hvguardctl does not know this kind: hvguardd is newer.\n",
              "  Install hvguardctl of hvguardd's version.\n"};
  }
}

std::string fact(std::string_view name, std::string_view value) {
  return fmt::format("  {:<16} {}\n", name, value);
}

std::string tasks_text(const google::protobuf::RepeatedPtrField<v1::IncidentTask>& tasks,
                       const Style& style) {
  Table table({{"BLOCKED", true}, {"TID", true}, {"PID", true}, {"COMMAND"}, {"VM", false, true}});
  for (const v1::IncidentTask& task : tasks) {
    table.add({{task.has_blocked_since_time() ? age_text(task.blocked_since_time(), style.now)
                                              : std::string(kUnknown)},
               {fmt::format("{}", task.tid())},
               {fmt::format("{}", task.pid())},
               {printable(task.comm())},
               {task.vm_id().empty() ? std::string(kUnknown) : printable(task.vm_id())}});
  }
  return table.empty() ? "" : table.render(style, 2);
}

std::string of(const v1::HungTaskEvidence& evidence, const Style& style) {
  std::string out = fact("cause", enum_text(Cause::Cause_Name(evidence.cause()), "CAUSE_"));
  out += fact("tasks", fmt::format("{}, of {} VMs", evidence.task_count(), evidence.vm_ids_size()));
  if (!evidence.lock_type().empty()) {
    out += fact("lock",
                fmt::format("{}, held by {}",
                            printable(evidence.lock_type()),
                            evidence.has_lock_owner_tid()
                                ? fmt::format("{} {}",
                                              evidence.lock_owner_tid(),
                                              printable(evidence.lock_owner_comm()))
                                : "an unknown task"));
  }
  out += tasks_text(evidence.tasks(), style);
  if (!evidence.stack().empty()) {
    out += "  stack of the one blocked longest\n";
  }
  for (const std::string& function : evidence.stack()) {
    out += fmt::format("    {}\n", printable(function));
  }
  return out;
}

constexpr std::string_view kScanCutShort =
    "kernel.hung_task_check_count is below the number of tasks";

std::string of(const v1::PanicForecastEvidence& evidence, const Style& style) {
  std::string out =
      fact("not before",
           fmt::format("{} (in {})",
                       time_text(evidence.earliest_time()),
                       format_duration(wall_time(evidence.earliest_time()).since_epoch -
                                       style.now.since_epoch)));
  out += fact("not after",
              fmt::format("{}{}",
                          time_text(evidence.latest_time()),
                          evidence.upper_bound()      ? ", or never: some tasks may be killable"
                          : evidence.scan_cut_short() ? ", or never: " + std::string(kScanCutShort)
                                                      : ""));
  out += fact("hung after",
              fmt::format("{}, counted every {}{}",
                          format_duration(nanoseconds(evidence.timeout_duration())),
                          format_duration(nanoseconds(evidence.scan_period_duration())),
                          evidence.scan_phase_known() ? "" : " (when is not known)"));
  out += fact("panics at",
              fmt::format("{} such tasks, {}",
                          evidence.needed_task_count(),
                          evidence.reboots() ? "then reboots" : "then stands still"));
  return out + tasks_text(evidence.tasks(), style);
}

std::string of(const v1::IoStallEvidence& evidence, const Style& style) {
  std::string out = fact("in flight", fmt::format("{} requests", evidence.in_flight_count()));
  out += fact("no completion",
              fmt::format("since {} ({})",
                          time_text(evidence.stalled_since_time()),
                          age_text(evidence.stalled_since_time(), style.now)));
  if (evidence.has_device_suspended()) {
    out += fact("device-mapper", evidence.device_suspended() ? "suspended" : "not suspended");
  }
  return out;
}

std::string parties_text(std::string_view role,
                         const google::protobuf::RepeatedPtrField<v1::IoContentionParty>& parties,
                         std::uint32_t left_out_count,
                         const Style& style) {
  Table table({{std::string(role), false, true},
               {"DEVICE TIME", true},
               {"READ P99", true},
               {"WRITE P99", true},
               {"VM"}});
  const auto latency = [](bool known, const google::protobuf::Duration& p99) {
    return latency_text(known ? std::optional(nanoseconds(p99)) : std::nullopt);
  };
  for (const v1::IoContentionParty& party : parties) {
    table.add({{printable(party.name())},
               {percent_text(party.device_time_ratio())},
               {latency(party.has_read_p99_duration(), party.read_p99_duration())},
               {latency(party.has_write_p99_duration(), party.write_p99_duration())},
               {party.vm_id().empty() ? std::string(kUnknown) : printable(party.vm_id())}});
  }
  return (table.empty() ? "" : table.render(style, 2)) +
         (left_out_count > 0 ? fact("and", fmt::format("{} more", left_out_count)) : "");
}

std::string of(const v1::IoContentionEvidence& evidence, const Style& style) {
  std::string out = fact("used by",
                         fmt::format("{}; a fair share is {} of its time",
                                     evidence.party_count(),
                                     percent_text(evidence.fair_ratio())));
  out += fact("in the device",
              fmt::format("{} requests at a time", count_text(evidence.in_device_count())));
  out += fact("too long",
              fmt::format("p99 over {}{}",
                          format_duration(nanoseconds(evidence.latency_bound_duration())),
                          evidence.pressure_high()
                              ? ", now a quarter of that: the host's IO pressure is high"
                              : ""));
  out += parties_text("VICTIM", evidence.victims(), evidence.left_out_victim_count(), style);
  return out +
         (evidence.culprits().empty()
              ? fact("culprits", "none: nobody takes much more than the others")
              : parties_text(
                    "CULPRIT", evidence.culprits(), evidence.left_out_culprit_count(), style));
}

std::string of(const v1::VmTopologyEvidence& evidence, const Style& /*style*/) {
  std::string out;
  for (const int problem : evidence.problems()) {
    out += fact("problem",
                enum_text(v1::VmTopologyEvidence::Problem_Name(
                              static_cast<v1::VmTopologyEvidence::Problem>(problem)),
                          "PROBLEM_"));
  }
  return out + fact("remedy", printable(evidence.remedy()));
}

std::string of(const v1::AgentBlindEvidence& evidence, const Style& /*style*/) {
  return fact("source",
              evidence.sampler_late() ? "all of them: the thread that reads the host is stuck"
                                      : printable(evidence.source())) +
         fact("still there", evidence.degraded() ? "approximate data of a fallback" : "nothing") +
         fact("why", printable(evidence.detail()));
}

std::string figures_text(const v1::RecordedFigures& figures) {
  return fmt::format(
      "{} VMs, {} blocked tasks, load {}, {} free, IO full {}, memory full {}",
      figures.vm_count(),
      figures.has_blocked_task_count() ? fmt::format("{}", figures.blocked_task_count())
                                       : std::string(kUnknown),
      count_text(optional_of(
          figures, &v1::RecordedFigures::has_load_average, &v1::RecordedFigures::load_average)),
      bytes_text(optional_of(figures,
                             &v1::RecordedFigures::has_memory_available_bytes,
                             &v1::RecordedFigures::memory_available_bytes)),
      percent_text(optional_of(
          figures, &v1::RecordedFigures::has_io_full_ratio, &v1::RecordedFigures::io_full_ratio)),
      percent_text(optional_of(figures,
                               &v1::RecordedFigures::has_memory_full_ratio,
                               &v1::RecordedFigures::memory_full_ratio)));
}

std::string pstore_text(const v1::Pstore& pstore) {
  const auto left_out = pstore.left_out_file_count();
  std::string out =
      fact("kernel's words",
           pstore.telling_line().empty() ? "none in pstore" : printable(pstore.telling_line()));
  for (const v1::PstoreFile& file : pstore.files()) {
    out += fact("pstore",
                fmt::format("{}, {}, {}",
                            printable(file.path()),
                            format_bytes(file.size_bytes()),
                            file.has_modify_time() ? time_text(file.modify_time())
                                                   : std::string(kUnknown)));
  }
  if (left_out > 0) {
    out += fact("pstore", fmt::format("and {} more files", left_out));
  }
  return out + (pstore.error().empty() ? "" : fact("pstore", printable(pstore.error())));
}

std::string of(const v1::UncleanRebootEvidence& evidence, const Style& style) {
  const v1::BootRecord& boot = evidence.previous_boot();
  std::string out =
      fact("last recorded",
           boot.has_last_seen_time() ? fmt::format("{} ({} ago)",
                                                   time_text(boot.last_seen_time()),
                                                   age_text(boot.last_seen_time(), style.now))
                                     : std::string(kUnknown));
  out += fact("down for",
              evidence.has_down_duration()
                  ? fmt::format("{}, or up to a minute less",
                                format_duration(nanoseconds(evidence.down_duration())))
                  : "not known: the wall clock was set between");
  if (boot.has_uptime_duration()) {
    out += fact("had run for", format_duration(nanoseconds(boot.uptime_duration())));
  }
  out += fact("boot id", printable(boot.boot_id()));
  if (boot.has_figures()) {
    out += fact("last figures", figures_text(boot.figures()));
  }
  out += pstore_text(boot.pstore());
  Table table({{"OPEN SINCE"}, {"SEVERITY"}, {"KIND"}, {"ABOUT"}, {"WHAT", false, true}});
  for (const v1::RecordedIncident& incident : boot.incidents()) {
    table.add(
        {{incident.has_event_time() ? time_text(incident.event_time()) : std::string(kUnknown)},
         {printable(incident.severity())},
         {printable(incident.kind())},
         {printable(incident.subject_label())},
         {printable(incident.summary())}});
  }
  if (!table.empty()) {
    out += "  open then\n" + table.render(style, 2);
  }
  return out + (boot.left_out_incident_count() > 0
                    ? fact("and", fmt::format("{} more incidents", boot.left_out_incident_count()))
                    : "");
}

}  // namespace

Explanation explain(const v1::Incident& incident) {
  const Text text = kind_explanation(incident);
  return {std::string(text.meaning), std::string(text.remedy)};
}

std::string evidence_text(const v1::Incident& incident, const Style& style) {
  const v1::IncidentEvidence& evidence = incident.evidence();
  switch (evidence.kind_case()) {
    case v1::IncidentEvidence::kHungTask:
      return of(evidence.hung_task(), style);
    case v1::IncidentEvidence::kPanicForecast:
      return of(evidence.panic_forecast(), style);
    case v1::IncidentEvidence::kIoStall:
      return of(evidence.io_stall(), style);
    case v1::IncidentEvidence::kIoContention:
      return of(evidence.io_contention(), style);
    case v1::IncidentEvidence::kVmTopology:
      return of(evidence.vm_topology(), style);
    case v1::IncidentEvidence::kAgentBlind:
      return of(evidence.agent_blind(), style);
    case v1::IncidentEvidence::kUncleanReboot:
      return of(evidence.unclean_reboot(), style);
    case v1::IncidentEvidence::KIND_NOT_SET:
      break;
  }
  return "  none kept: hvguardd restarted since, or the incident is over\n";
}

}  // namespace hvguard::ctl
