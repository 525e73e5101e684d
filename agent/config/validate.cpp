#include "config/validate.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "config/checker.h"
#include "config/units.h"
#include "config/validate_policy.h"

namespace hvguard::config {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

// sun_path holds 108 bytes, its end mark included; the lock's name must fit as well.
constexpr std::size_t kMaxSocketPathBytes = 100;
constexpr std::size_t kMaxUserNameBytes = 32;  // LOGIN_NAME_MAX of every distribution's useradd
constexpr int kMaxExecutables = 32;  // NAME_PREFIX_COUNT of bpf/include/shared/lifecycle.h

SamplerConfig sampler(Checker& check, const v1::SamplerConfig& from) {
  SamplerConfig to;
  to.interval = check.duration("sampler.interval",
                               from.has_interval(),
                               from.interval(),
                               to.interval,
                               milliseconds(200),
                               seconds(1));
  to.rescan_interval = check.duration("sampler.rescan_interval",
                                      from.has_rescan_interval(),
                                      from.rescan_interval(),
                                      to.rescan_interval,
                                      seconds(2),
                                      minutes(10));
  if (from.has_use_bpf()) {
    to.use_bpf = from.use_bpf();
  }
  return to;
}

VmFinderConfig vm_finder(Checker& check, const v1::VmFinderConfig& from) {
  static constexpr std::string_view kKey = "vm_finder.executables";
  VmFinderConfig to;
  to.probe_timeout = check.duration("vm_finder.probe_timeout",
                                    from.has_probe_timeout(),
                                    from.probe_timeout(),
                                    to.probe_timeout,
                                    milliseconds(100),
                                    seconds(30));
  if (!check.is_set(kKey)) {
    return to;
  }
  if (from.executables().empty()) {
    check.fault(kKey, "names nothing; remove the key for the built-in list");
  }
  if (from.executables_size() > kMaxExecutables) {
    check.fault(kKey,
                fmt::format("{} patterns; at most {}", from.executables_size(), kMaxExecutables));
    return to;
  }
  to.executables.clear();
  for (const std::string& pattern : from.executables()) {
    const std::string name = safe_text(pattern, kMaxShownBytes);
    if (pattern.empty() || pattern.find('/') != std::string::npos) {
      check.fault(kKey,
                  fmt::format("\"{}\" is no file name: write the name without its path, "
                              "such as \"qemu-system-*\"",
                              name));
    } else if (pattern.find_first_not_of("*?") == std::string::npos) {
      check.fault(kKey, fmt::format("\"{}\" would take every process for a VM", name));
    }
    to.executables.push_back(pattern);
  }
  return to;
}

HungTaskConfig hung_task(Checker& check, const v1::HungTaskConfig& from) {
  HungTaskConfig to;
  to.open_after = check.duration("hung_task.open_after",
                                 from.has_open_after(),
                                 from.open_after(),
                                 to.open_after,
                                 seconds(1),
                                 hours(1));
  to.critical_after = check.duration("hung_task.critical_after",
                                     from.has_critical_after(),
                                     from.critical_after(),
                                     to.critical_after,
                                     seconds(1),
                                     hours(1));
  if (to.critical_after < to.open_after) {
    check.fault_of_either("hung_task.critical_after",
                          "hung_task.open_after",
                          fmt::format("{} is shorter than 'hung_task.open_after' ({})",
                                      written(to.critical_after),
                                      written(to.open_after)));
  }
  return to;
}

IoContentionConfig io_contention(Checker& check, const v1::IoContentionConfig& from) {
  IoContentionConfig to;
  to.latency_bound = check.duration("io_contention.latency_bound",
                                    from.has_latency_bound(),
                                    from.latency_bound(),
                                    to.latency_bound,
                                    milliseconds(1),
                                    minutes(1));
  to.nvme_latency_bound = check.duration("io_contention.nvme_latency_bound",
                                         from.has_nvme_latency_bound(),
                                         from.nvme_latency_bound(),
                                         to.nvme_latency_bound,
                                         milliseconds(1),
                                         minutes(1));
  to.pressure_full_ratio = check.number("io_contention.pressure_full_ratio",
                                        from.has_pressure_full_ratio(),
                                        from.pressure_full_ratio(),
                                        to.pressure_full_ratio,
                                        0.05,
                                        1.0);
  to.open_after = check.duration("io_contention.open_after",
                                 from.has_open_after(),
                                 from.open_after(),
                                 to.open_after,
                                 seconds(1),
                                 minutes(10));
  to.min_operations = check.number<std::uint32_t>("io_contention.min_operations",
                                                  from.has_min_operations(),
                                                  from.min_operations(),
                                                  to.min_operations,
                                                  2,
                                                  10'000);
  return to;
}

IncidentBookConfig incidents(Checker& check, const v1::IncidentBookConfig& from) {
  IncidentBookConfig to;
  to.resolve_after = check.duration("incidents.resolve_after",
                                    from.has_resolve_after(),
                                    from.resolve_after(),
                                    to.resolve_after,
                                    seconds(1),
                                    hours(1));
  to.resolve_after_max = check.duration("incidents.resolve_after_max",
                                        from.has_resolve_after_max(),
                                        from.resolve_after_max(),
                                        to.resolve_after_max,
                                        seconds(1),
                                        hours(24));
  to.flap_window = check.duration("incidents.flap_window",
                                  from.has_flap_window(),
                                  from.flap_window(),
                                  to.flap_window,
                                  seconds(0),
                                  hours(24));
  to.max_open = check.number<std::uint32_t>(
      "incidents.max_open", from.has_max_open(), from.max_open(), to.max_open, 16, 65536);
  to.max_resolved = check.number<std::uint32_t>("incidents.max_resolved",
                                                from.has_max_resolved(),
                                                from.max_resolved(),
                                                to.max_resolved,
                                                0,
                                                65536);
  if (to.resolve_after_max < to.resolve_after) {
    check.fault_of_either("incidents.resolve_after_max",
                          "incidents.resolve_after",
                          fmt::format("{} is shorter than 'incidents.resolve_after' ({})",
                                      written(to.resolve_after_max),
                                      written(to.resolve_after)));
  }
  return to;
}

bool is_user_name(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  return !name.empty() && name.size() <= kMaxUserNameBytes && name[0] != '-' &&
         std::all_of(name.begin(), name.end(), fits);
}

CoreSocketConfig core_socket(Checker& check, const v1::CoreSocketConfig& from) {
  CoreSocketConfig to;
  if (from.has_path()) {
    to.path = from.path();
    if (!to.path.starts_with('/') || to.path.find('\0') != std::string::npos) {
      check.fault("core_socket.path",
                  fmt::format("\"{}\" is no absolute path, such as \"{}\"",
                              safe_text(to.path, kMaxShownBytes),
                              CoreSocketConfig{}.path));
    } else if (to.path.size() > kMaxSocketPathBytes) {
      check.fault(
          "core_socket.path",
          fmt::format(
              "{} bytes; a socket's path has at most {}", to.path.size(), kMaxSocketPathBytes));
    }
  }
  const auto user =
      [&](std::string_view key, bool is_set, const std::string& name, std::string& out) {
        if (is_set && !is_user_name(name)) {
          check.fault(
              key,
              fmt::format(
                  "\"{}\" is no user name, such as \"{}\"", safe_text(name, kMaxShownBytes), out));
        } else if (is_set) {
          out = name;
        }
      };
  user("core_socket.gateway_user", from.has_gateway_user(), from.gateway_user(), to.gateway_user);
  user("core_socket.spool_user", from.has_spool_user(), from.spool_user(), to.spool_user);
  return to;
}

LogConfig log(Checker& check, const v1::LogConfig& from) {
  static constexpr std::array<std::pair<std::string_view, LogLevel>, 4> kLevels = {
      {{"debug", LogLevel::kDebug},
       {"info", LogLevel::kInfo},
       {"warning", LogLevel::kWarning},
       {"error", LogLevel::kError}}};
  LogConfig to;
  if (!from.has_level()) {
    return to;
  }
  const auto* const found = std::find_if(kLevels.begin(), kLevels.end(), [&](const auto& level) {
    return level.first == from.level();
  });
  if (found != kLevels.end()) {
    to.level = found->second;
    return to;
  }
  check.fault("log.level",
              fmt::format("\"{}\" is no level: debug, info, warning or error",
                          safe_text(from.level(), kMaxShownBytes)));
  return to;
}

}  // namespace

Validated validate(const Draft& draft) {
  Checker check(draft);
  const v1::Config& from = draft.values;
  Validated result;
  hvguard::Config& to = result.config;
  to.sampler = sampler(check, from.sampler());
  to.vm_finder = vm_finder(check, from.vm_finder());
  to.hung_task = hung_task(check, from.hung_task());
  to.panic_forecast.open_within = check.duration("panic_forecast.open_within",
                                                 from.panic_forecast().has_open_within(),
                                                 from.panic_forecast().open_within(),
                                                 to.panic_forecast.open_within,
                                                 seconds(5),
                                                 hours(1));
  to.io_stall.open_after = check.duration("io_stall.open_after",
                                          from.io_stall().has_open_after(),
                                          from.io_stall().open_after(),
                                          to.io_stall.open_after,
                                          seconds(1),
                                          hours(1));
  to.io_contention = io_contention(check, from.io_contention());
  to.unclean_reboot.open_for = check.duration("unclean_reboot.open_for",
                                              from.unclean_reboot().has_open_for(),
                                              from.unclean_reboot().open_for(),
                                              to.unclean_reboot.open_for,
                                              minutes(1),
                                              hours(8760));
  to.vm_topology.pids_headroom_ratio = check.number("vm_topology.pids_headroom_ratio",
                                                    from.vm_topology().has_pids_headroom_ratio(),
                                                    from.vm_topology().pids_headroom_ratio(),
                                                    to.vm_topology.pids_headroom_ratio,
                                                    0.1,
                                                    1.0);
  to.agent_blind.open_after_ticks =
      check.number<std::uint32_t>("agent_blind.open_after_ticks",
                                  from.agent_blind().has_open_after_ticks(),
                                  from.agent_blind().open_after_ticks(),
                                  to.agent_blind.open_after_ticks,
                                  1,
                                  60);
  to.incidents = incidents(check, from.incidents());
  to.policy = validate_policy(check, from);
  to.core_socket = core_socket(check, from.core_socket());
  to.log = log(check, from.log());
  result.faults = std::move(check).take();
  return result;
}

}  // namespace hvguard::config
