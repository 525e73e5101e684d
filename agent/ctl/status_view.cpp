#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ctl/format.h"
#include "ctl/views.h"

namespace hvguard::ctl {
namespace {

constexpr std::size_t kMostDevices = 10;
constexpr Nanoseconds kStaleAfter = std::chrono::seconds(3);

void join(std::string& list, std::string_view item) {
  list += list.empty() ? "" : ", ";
  list += item;
}

std::string counted(std::uint64_t count, std::string_view what) {
  return fmt::format("{} {}", count, what);
}

std::string host_line(const v1::HostStatus& host, const Style& style) {
  std::string text = printable(host.hostname());
  text += fmt::format(", kernel {}", printable(host.kernel_release()));
  if (host.has_boot_time()) {
    text += ", up " + age_text(host.boot_time(), style.now);
  }
  return text;
}

std::string agent_line(const v1::AgentStatus& agent, const Style& style) {
  std::string text = fmt::format("{}, {}",
                                 printable(agent.version()),
                                 enum_text(v1::AgentStatus::Mode_Name(agent.mode()), "MODE_"));
  if (agent.has_start_time()) {
    text += fmt::format(", for {}", age_text(agent.start_time(), style.now));
  }
  text += fmt::format(", {} ticks", agent.tick_count());
  if (agent.skipped_tick_count() > 0) {
    text += fmt::format(" ({} left out)", agent.skipped_tick_count());
  }
  return text;
}

std::string cost_line(const v1::AgentStatus& agent) {
  std::string text = "cpu ";
  text += percent_text(
      optional_of(agent, &v1::AgentStatus::has_cpu_cores, &v1::AgentStatus::cpu_cores));
  text += " of a core, memory ";
  text += bytes_text(
      optional_of(agent, &v1::AgentStatus::has_resident_bytes, &v1::AgentStatus::resident_bytes));
  const auto took = [](bool known, const google::protobuf::Duration& duration) {
    return latency_text(known ? std::optional(nanoseconds(duration)) : std::nullopt);
  };
  text += fmt::format(", reading {}, step {}",
                      took(agent.has_read_duration(), agent.read_duration()),
                      took(agent.has_step_duration(), agent.step_duration()));
  return text;
}

std::string data_line(const v1::Status& status, const Style& style) {
  if (!status.has_observe_time()) {
    return painted("never read", Tone::kBad, style);
  }
  const bool stale =
      style.now.since_epoch - wall_time(status.observe_time()).since_epoch > kStaleAfter;
  const std::string text = age_text(status.observe_time(), style.now) + " old";
  return stale ? painted(text + ": STALE, what follows is not about now", Tone::kBad, style) : text;
}

std::string advice_line(const v1::ScheduleAdvice& advice, const Style& style) {
  Tone tone = Tone::kWarning;
  if (advice.state() == v1::ScheduleAdvice::STATE_YES) {
    tone = Tone::kGood;
  } else if (advice.state() == v1::ScheduleAdvice::STATE_DRAIN_ADVISED) {
    tone = Tone::kBad;
  }
  std::string word = enum_text(v1::ScheduleAdvice::State_Name(advice.state()), "STATE_");
  std::ranges::replace(word, '_', ' ');
  std::string reasons;
  for (const std::string& reason : advice.reasons()) {
    join(reasons, printable(reason));
  }
  return painted(word, tone, style) + (reasons.empty() ? "" : ": " + reasons);
}

std::string incident_line(const v1::StatusCounts& counts, const Style& style) {
  const auto part = [&](std::uint32_t count, std::string_view what, Tone tone) {
    return painted(counted(count, what), count > 0 ? tone : Tone::kPlain, style);
  };
  return fmt::format("{}, {}, {}",
                     part(counts.critical_incident_count(), "critical", Tone::kBad),
                     part(counts.warning_incident_count(), "warning", Tone::kWarning),
                     part(counts.info_incident_count(), "info", Tone::kPlain));
}

std::string limit_line(const v1::StatusCounts& counts, const Style& style) {
  return fmt::format("{} in force, {} only said, {}",
                     counts.limit_in_force_count(),
                     counts.dry_run_limit_count(),
                     painted(counted(counts.failed_limit_count(), "failed"),
                             counts.failed_limit_count() > 0 ? Tone::kBad : Tone::kPlain,
                             style));
}

std::string blocked_line(const v1::StatusCounts& counts) {
  if (!counts.has_blocked_task_count()) {
    return "not known";
  }
  return fmt::format("{} tasks that the kernel counts, {} killable",
                     counts.blocked_task_count(),
                     counts.has_killable_task_count() ? std::to_string(counts.killable_task_count())
                                                      : "not known how many");
}

std::string memory_line(const v1::HostStatus& host) {
  using Host = v1::HostStatus;
  const auto total = optional_of(host, &Host::has_memory_total_bytes, &Host::memory_total_bytes);
  const auto available =
      optional_of(host, &Host::has_memory_available_bytes, &Host::memory_available_bytes);
  std::string text = fmt::format("{} of {} available", bytes_text(available), bytes_text(total));
  if (host.has_swap_total_bytes() && host.swap_total_bytes() > 0) {
    const auto swap_in =
        optional_of(host, &Host::has_swap_in_bytes_per_second, &Host::swap_in_bytes_per_second);
    const auto swap_out =
        optional_of(host, &Host::has_swap_out_bytes_per_second, &Host::swap_out_bytes_per_second);
    text += fmt::format(
        ", swap {} of {} free, in {}, out {}",
        bytes_text(optional_of(host, &Host::has_swap_free_bytes, &Host::swap_free_bytes)),
        bytes_text(host.swap_total_bytes()),
        rate_text(swap_in),
        rate_text(swap_out));
  }
  return text;
}

std::string pressure_text(bool known, const v1::PressureRatios& pressure) {
  if (!known) {
    return std::string(kUnknown);
  }
  using Ratios = v1::PressureRatios;
  std::string text =
      percent_text(optional_of(pressure, &Ratios::has_some_ratio, &Ratios::some_ratio));
  if (pressure.has_full_ratio()) {
    text += fmt::format(" (full {})", percent_text(pressure.full_ratio()));
  }
  return text;
}

std::string hung_task_line(const v1::HungTaskSettings& settings) {
  using Settings = v1::HungTaskSettings;
  if (!settings.has_timeout_duration()) {
    return "the kernel's settings are not known";
  }
  const Nanoseconds timeout = nanoseconds(settings.timeout_duration());
  if (timeout == Nanoseconds(0)) {
    return "off in the kernel (hung_task_timeout_secs is 0)";
  }
  std::string text = fmt::format("the kernel looks for tasks blocked {}", format_duration(timeout));
  const auto panic =
      optional_of(settings, &Settings::has_panic_task_count, &Settings::panic_task_count);
  if (!panic) {
    return text + ", whether it panics is not known";
  }
  if (*panic == 0) {
    return text + " and does not panic";
  }
  text += fmt::format(" and panics at {}", *panic);
  const auto reboot =
      optional_of(settings, &Settings::has_panic_reboot_seconds, &Settings::panic_reboot_seconds);
  if (reboot) {
    text += *reboot == 0 ? ", then stands still" : ", then reboots";
  }
  return text;
}

// Those that hold or are not known, in full; the rest in one line.
std::string conditions_part(const v1::Status& status, const Style& style) {
  Table table({{"CONDITION"}, {"STATE"}, {"FOR", true}, {"REASON"}, {"MESSAGE", false, true}});
  std::string calm;
  for (const v1::Condition& condition : status.conditions()) {
    std::string_view name = v1::Condition::Kind_Name(condition.kind());
    name.remove_prefix(std::min(name.size(), std::string_view("KIND_").size()));
    if (condition.state() == v1::Condition::STATE_FALSE) {
      join(calm, camel_text(name));
      continue;
    }
    const bool holds = condition.state() == v1::Condition::STATE_TRUE;
    table.add({{camel_text(name)},
               {holds ? "True" : "Unknown", holds ? Tone::kBad : Tone::kWarning},
               {condition.has_last_transition_time()
                    ? age_text(condition.last_transition_time(), style.now)
                    : std::string(kUnknown)},
               {printable(condition.reason())},
               {printable(condition.message())}});
  }
  std::string out;
  if (!table.empty()) {
    out += "\n" + table.render(style);
  }
  if (!calm.empty()) {
    out += (table.empty() ? "\n" : "") + labelled("False", calm, style);
  }
  return out;
}

std::string sources_part(const v1::Status& status, const Style& style) {
  Table table({{"SOURCE"}, {"STATE"}, {"LAST GOOD", true}, {"LOST", true}, {"WHY", false, true}});
  std::string good;
  for (const v1::SourceStatus& source : status.sources()) {
    if (source.state() == v1::SourceStatus::STATE_OK && source.dropped_count() == 0) {
      join(good, printable(source.source()));
      continue;
    }
    const Tone tone = source.state() == v1::SourceStatus::STATE_BLIND     ? Tone::kBad
                      : source.state() == v1::SourceStatus::STATE_UNKNOWN ? Tone::kDim
                                                                          : Tone::kWarning;
    table.add(
        {{printable(source.source())},
         {enum_text(v1::SourceStatus::State_Name(source.state()), "STATE_"), tone},
         {source.has_last_good_time() ? age_text(source.last_good_time(), style.now) : "never"},
         {fmt::format("{}", source.dropped_count())},
         {printable(source.detail())}});
  }
  std::string out;
  if (!table.empty()) {
    out += "\n" + table.render(style);
  }
  if (!good.empty()) {
    out += (table.empty() ? "\n" : "") + labelled("sources ok", good, style);
  }
  return out;
}

std::string devices_part(const v1::HostStatus& host, const Style& style) {
  std::vector<const v1::DeviceStatus*> devices;
  for (const v1::DeviceStatus& device : host.devices()) {
    devices.push_back(&device);
  }
  std::ranges::stable_sort(devices, std::greater<>(), [](const v1::DeviceStatus* device) {
    return std::pair(device->suspended(), device->busy_ratio());
  });
  Table table({{"DISK"}, {"BUSY", true}, {"READ", true}, {"WRITE", true}, {"STATE"}});
  using Rates = v1::IoRates;
  for (std::size_t i = 0; i < std::min(devices.size(), kMostDevices); ++i) {
    const v1::DeviceStatus& device = *devices[i];
    table.add({{device_text(device.device())},
               {percent_text(optional_of(
                   device, &v1::DeviceStatus::has_busy_ratio, &v1::DeviceStatus::busy_ratio))},
               {rate_text(optional_of(
                   device.read_rates(), &Rates::has_bytes_per_second, &Rates::bytes_per_second))},
               {rate_text(optional_of(
                   device.write_rates(), &Rates::has_bytes_per_second, &Rates::bytes_per_second))},
               {device.suspended() ? "suspended" : "", Tone::kBad}});
  }
  if (table.empty()) {
    return {};
  }
  std::string out = "\n" + table.render(style);
  if (devices.size() > kMostDevices) {
    out += fmt::format("and {} less busy ones\n", devices.size() - kMostDevices);
  }
  return out;
}

std::string drops_text(const v1::DropCounts& drops) {
  std::string text;
  const auto add = [&](std::uint64_t count, std::string_view what) {
    if (count > 0) {
      join(text, counted(count, what));
    }
  };
  add(drops.gap_count(), "gaps");
  add(drops.finding_count(), "findings");
  add(drops.frame_count(), "frames");
  add(drops.log_count(), "log lines");
  add(drops.journal_count(), "journal records");
  add(drops.refused_request_count(), "refused requests");
  add(drops.trimmed_count(), "cut parts of answers");
  return text;
}

}  // namespace

std::string status_view(const v1::Status& status, const Style& style) {
  const v1::HostStatus& host = status.host();
  const v1::AgentStatus& agent = status.agent();
  const v1::StatusCounts& counts = status.counts();
  std::string loads;
  for (const double load : host.load_averages()) {
    loads += fmt::format("{}{:.2f}", loads.empty() ? "" : " ", load);
  }

  std::string out = labelled("host", host_line(host, style), style);
  out += labelled("hvguardd", agent_line(agent, style), style);
  out += labelled("", cost_line(agent), style);
  out += labelled("data", data_line(status, style), style);
  out += labelled("schedule", advice_line(status.schedule_advice(), style), style);
  out += labelled("incidents", incident_line(counts, style), style);
  out += labelled("VMs", fmt::format("{} running", counts.vm_count()), style);
  out += labelled("limits", limit_line(counts, style), style);
  out += labelled("blocked", blocked_line(counts), style);
  out += labelled("hung tasks", hung_task_line(host.hung_task_settings()), style);
  out += labelled("memory", memory_line(host), style);
  out += labelled("pressure",
                  fmt::format("cpu {}, memory {}, io {}",
                              pressure_text(host.has_cpu_pressure(), host.cpu_pressure()),
                              pressure_text(host.has_memory_pressure(), host.memory_pressure()),
                              pressure_text(host.has_io_pressure(), host.io_pressure())),
                  style);
  out += labelled("load", loads.empty() ? std::string(kUnknown) : loads, style);
  if (!agent.reload_error().empty()) {
    out += labelled(
        "config",
        painted("the last reload failed: " + printable(agent.reload_error()), Tone::kBad, style),
        style);
  }
  if (const std::string lost = drops_text(agent.drops()); !lost.empty()) {
    out += labelled("lost", painted(lost, Tone::kWarning, style), style);
  }
  return out + conditions_part(status, style) + sources_part(status, style) +
         devices_part(host, style);
}

}  // namespace hvguard::ctl
