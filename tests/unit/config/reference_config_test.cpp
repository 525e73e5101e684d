// packaging/hvguard.toml shows every key with its default, and an example of a class. Here its
// commented keys are made real, and must then give exactly the defaults of model/config.h.
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "config/decode.h"
#include "config/validate.h"

namespace hvguard::config {
namespace {

// "#key = value" → "key = value", "#[[table]]" → "[[table]]"; "# text" stays a comment.
std::string with_keys_made_real() {
  std::ifstream file(HVGUARD_REFERENCE_CONFIG);
  std::ostringstream out;
  for (std::string line; std::getline(file, line);) {
    const bool is_key =
        line.size() > 1 && line[0] == '#' && ((line[1] >= 'a' && line[1] <= 'z') || line[1] == '[');
    out << (is_key ? line.substr(1) : line) << '\n';
  }
  return out.str();
}

std::set<std::string> all_keys() {
  std::set<std::string> keys;
  const auto& tables = *v1::Config::descriptor();
  for (int i = 0; i < tables.field_count(); ++i) {
    const auto& fields = *tables.field(i)->message_type();
    for (int j = 0; j < fields.field_count(); ++j) {
      const std::string name = tables.field(i)->is_repeated() ? ".example." : ".";
      keys.insert(tables.field(i)->name() + name + fields.field(j)->name());
    }
  }
  return keys;
}

TEST(ReferenceConfig, NamesEveryKeyOnce) {
  const Draft draft = decode({}, with_keys_made_real(), "hvguard.toml");
  EXPECT_TRUE(draft.faults.empty());
  std::set<std::string> keys;
  for (const auto& [key, origin] : draft.origins) {
    keys.insert(key);
  }
  EXPECT_EQ(keys, all_keys());
}

// The example shows write limits, which the default forbids.
Draft with_write_limits_allowed(Draft draft) {
  return decode(std::move(draft), "[safety]\nallow_write_limits = true\n", "allow.toml");
}

TEST(ReferenceConfig, ShowsTheDefaults) {
  const Draft draft = decode({}, with_keys_made_real(), "hvguard.toml");
  const Validated shown = validate(with_write_limits_allowed(draft));
  ASSERT_TRUE(shown.faults.empty()) << to_string(shown.faults[0]);
  const hvguard::Config standard;
  const hvguard::Config& config = shown.config;
  EXPECT_EQ(config.sampler.interval, standard.sampler.interval);
  EXPECT_EQ(config.sampler.rescan_interval, standard.sampler.rescan_interval);
  EXPECT_EQ(config.sampler.use_bpf, standard.sampler.use_bpf);
  EXPECT_EQ(config.vm_finder.executables, standard.vm_finder.executables);
  EXPECT_EQ(config.vm_finder.probe_timeout, standard.vm_finder.probe_timeout);
  EXPECT_EQ(config.hung_task.open_after, standard.hung_task.open_after);
  EXPECT_EQ(config.hung_task.critical_after, standard.hung_task.critical_after);
  EXPECT_EQ(config.panic_forecast.open_within, standard.panic_forecast.open_within);
  EXPECT_EQ(config.io_stall.open_after, standard.io_stall.open_after);
  EXPECT_EQ(config.io_contention.latency_bound, standard.io_contention.latency_bound);
  EXPECT_EQ(config.io_contention.nvme_latency_bound, standard.io_contention.nvme_latency_bound);
  EXPECT_EQ(config.io_contention.pressure_full_ratio, standard.io_contention.pressure_full_ratio);
  EXPECT_EQ(config.io_contention.open_after, standard.io_contention.open_after);
  EXPECT_EQ(config.io_contention.min_operations, standard.io_contention.min_operations);
  EXPECT_EQ(config.vm_topology.pids_headroom_ratio, standard.vm_topology.pids_headroom_ratio);
  EXPECT_EQ(config.agent_blind.open_after_ticks, standard.agent_blind.open_after_ticks);
  EXPECT_EQ(config.incidents.resolve_after, standard.incidents.resolve_after);
  EXPECT_EQ(config.incidents.resolve_after_max, standard.incidents.resolve_after_max);
  EXPECT_EQ(config.incidents.flap_window, standard.incidents.flap_window);
  EXPECT_EQ(config.incidents.max_open, standard.incidents.max_open);
  EXPECT_EQ(config.incidents.max_resolved, standard.incidents.max_resolved);
  EXPECT_EQ(config.core_socket.path, standard.core_socket.path);
  EXPECT_EQ(config.core_socket.gateway_user, standard.core_socket.gateway_user);
  EXPECT_EQ(config.core_socket.spool_user, standard.core_socket.spool_user);
  EXPECT_EQ(config.unclean_reboot.open_for, standard.unclean_reboot.open_for);
  EXPECT_EQ(config.log.level, standard.log.level);
  EXPECT_EQ(config.policy.mode, standard.policy.mode);
  EXPECT_EQ(config.policy.protected_vms, standard.policy.protected_vms);
  EXPECT_EQ(config.policy.protected_units, standard.policy.protected_units);
  const SafetyConfig& safety = config.policy.safety;
  EXPECT_EQ(safety.min_read_bytes, standard.policy.safety.min_read_bytes);
  EXPECT_EQ(safety.min_read_operations, standard.policy.safety.min_read_operations);
  EXPECT_EQ(safety.min_write_bytes, standard.policy.safety.min_write_bytes);
  EXPECT_EQ(safety.min_write_operations, standard.policy.safety.min_write_operations);
  EXPECT_EQ(safety.min_cpu_cores_per_vcpu, standard.policy.safety.min_cpu_cores_per_vcpu);
  EXPECT_EQ(safety.max_limited_vm_ratio, standard.policy.safety.max_limited_vm_ratio);
  EXPECT_EQ(safety.max_changes_per_minute, standard.policy.safety.max_changes_per_minute);
  EXPECT_EQ(safety.lease, standard.policy.safety.lease);
  EXPECT_EQ(safety.max_lease, standard.policy.safety.max_lease);
  EXPECT_EQ(safety.drain_ratio, standard.policy.safety.drain_ratio);
  EXPECT_EQ(draft.values.safety().allow_write_limits(), standard.policy.safety.allow_write_limits);
  EXPECT_EQ(safety.allow_cgroupfs_fallback, standard.policy.safety.allow_cgroupfs_fallback);
}

TEST(ReferenceConfig, ItsExampleOfAClassIsRight) {
  const Validated shown =
      validate(with_write_limits_allowed(decode({}, with_keys_made_real(), "hvguard.toml")));
  ASSERT_EQ(shown.config.policy.classes.size(), 1U);
  EXPECT_EQ(shown.config.policy.classes[0].name, "example");
  EXPECT_EQ(shown.config.policy.classes[0].match.max_guest_memory_bytes, std::uint64_t{16} << 30);
}

TEST(ReferenceConfig, ChangesNothingAsItIs) {
  std::ifstream file(HVGUARD_REFERENCE_CONFIG);
  std::ostringstream text;
  text << file.rdbuf();
  ASSERT_FALSE(text.str().empty());
  const Draft draft = decode({}, text.str(), "hvguard.toml");
  EXPECT_TRUE(draft.faults.empty());
  EXPECT_TRUE(draft.origins.empty());
}

// Each key with another value must reach the struct: a key that validate() forgot would not.
TEST(Validate, EveryKeyReachesItsStruct) {
  const Validated changed =
      validate(decode({},
                      "[sampler]\ninterval = \"500ms\"\nrescan_interval = \"11s\"\n"
                      "use_bpf = false\n"
                      "[vm_finder]\nexecutables = [\"x\"]\n"
                      "probe_timeout = \"3s\"\n"
                      "[hung_task]\nopen_after = \"11s\"\n"
                      "critical_after = \"31s\"\n"
                      "[panic_forecast]\nopen_within = \"91s\"\n"
                      "[io_stall]\nopen_after = \"6s\"\n"
                      "[io_contention]\nlatency_bound = \"64ms\"\n"
                      "nvme_latency_bound = \"8ms\"\npressure_full_ratio = 0.5\n"
                      "open_after = \"4s\"\nmin_operations = 20\n"
                      "[vm_topology]\npids_headroom_ratio = 0.7\n"
                      "[agent_blind]\nopen_after_ticks = 4\n"
                      "[incidents]\nresolve_after = \"6s\"\n"
                      "resolve_after_max = \"6min\"\nflap_window = \"11min\"\n"
                      "max_open = 1000\nmax_resolved = 200\n"
                      "[core_socket]\npath = \"/run/x\"\ngateway_user = \"x\"\n"
                      "spool_user = \"y\"\n"
                      "[unclean_reboot]\nopen_for = \"2h\"\n"
                      "[log]\nlevel = \"debug\"\n",
                      "f"));
  ASSERT_TRUE(changed.faults.empty());
  const hvguard::Config& config = changed.config;
  EXPECT_EQ(config.sampler.interval, milliseconds(500));
  EXPECT_EQ(config.sampler.rescan_interval, seconds(11));
  EXPECT_FALSE(config.sampler.use_bpf);
  EXPECT_EQ(config.vm_finder.executables, std::vector<std::string>{"x"});
  EXPECT_EQ(config.vm_finder.probe_timeout, seconds(3));
  EXPECT_EQ(config.hung_task.open_after, seconds(11));
  EXPECT_EQ(config.hung_task.critical_after, seconds(31));
  EXPECT_EQ(config.panic_forecast.open_within, seconds(91));
  EXPECT_EQ(config.io_stall.open_after, seconds(6));
  EXPECT_EQ(config.io_contention.latency_bound, milliseconds(64));
  EXPECT_EQ(config.io_contention.nvme_latency_bound, milliseconds(8));
  EXPECT_EQ(config.io_contention.pressure_full_ratio, 0.5);
  EXPECT_EQ(config.io_contention.open_after, seconds(4));
  EXPECT_EQ(config.io_contention.min_operations, 20U);
  EXPECT_EQ(config.vm_topology.pids_headroom_ratio, 0.7);
  EXPECT_EQ(config.agent_blind.open_after_ticks, 4U);
  EXPECT_EQ(config.incidents.resolve_after, seconds(6));
  EXPECT_EQ(config.incidents.resolve_after_max, seconds(360));
  EXPECT_EQ(config.incidents.flap_window, seconds(660));
  EXPECT_EQ(config.incidents.max_open, 1000U);
  EXPECT_EQ(config.incidents.max_resolved, 200U);
  EXPECT_EQ(config.core_socket.path, "/run/x");
  EXPECT_EQ(config.core_socket.gateway_user, "x");
  EXPECT_EQ(config.core_socket.spool_user, "y");
  EXPECT_EQ(config.unclean_reboot.open_for, std::chrono::hours(2));
  EXPECT_EQ(config.log.level, LogLevel::kDebug);
}

}  // namespace
}  // namespace hvguard::config
