// Any text as a configuration file, twice over each other. Beyond not crashing: faults are bounded,
// say something printable on one line, and a configuration without faults keeps its own rules.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/decode.h"
#include "config/validate.h"

namespace {

void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hvguard::config;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Draft draft = decode(decode({}, text.substr(0, size / 2), "a.toml"), text, "b.toml");
  require(draft.faults.size() <= kMaxFaults);
  const Validated validated = validate(draft);
  for (const auto* faults : {&draft.faults, &validated.faults}) {
    for (const Fault& fault : *faults) {
      const std::string shown = to_string(fault);
      require(std::none_of(shown.begin(), shown.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
      }));
    }
  }
  if (validated.faults.empty()) {
    const hvguard::Config& config = validated.config;
    require(config.hung_task.critical_after >= config.hung_task.open_after);
    require(config.incidents.resolve_after_max >= config.incidents.resolve_after);
    require(config.sampler.rescan_interval >= config.sampler.interval);
    require(config.sampler.interval >= std::chrono::milliseconds(200));
    require(!config.vm_finder.executables.empty());
    require(config.core_socket.path.starts_with('/'));
    require(config.vm_topology.pids_headroom_ratio >= 0.1);
    const hvguard::SafetyConfig& safety = config.policy.safety;
    require(safety.min_read_bytes >= 1'000'000 && safety.max_lease >= safety.lease);
    require(config.policy.classes.size() <= 64);
    for (const hvguard::VmClass& one : config.policy.classes) {
      const hvguard::VmBaseline& baseline = one.baseline;
      require(!one.name.empty());
      require(baseline.read_bytes.value_or(safety.min_read_bytes) >= safety.min_read_bytes);
      require(safety.allow_write_limits || (!baseline.write_bytes && !baseline.write_operations));
      require(!one.is_protected || (!baseline.read_bytes && !baseline.memory_high_overhead_bytes));
    }
  }
  return 0;
}
