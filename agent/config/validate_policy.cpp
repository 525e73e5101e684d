#include "config/validate_policy.h"

#include <chrono>

#include <fmt/format.h>

#include "config/units.h"
#include "config/validate_vm_class.h"

namespace hvguard::config {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr std::uint64_t kMegabyte = 1'000'000;
constexpr std::uint64_t kTerabyte = 1'000'000 * kMegabyte;

SafetyConfig safety(Checker& check, const v1::SafetyConfig& from) {
  SafetyConfig to;
  to.min_read_bytes = check.size("safety.min_read_bytes",
                                 from.has_min_read_bytes(),
                                 from.min_read_bytes(),
                                 to.min_read_bytes,
                                 kMegabyte,
                                 kTerabyte);
  to.min_write_bytes = check.size("safety.min_write_bytes",
                                  from.has_min_write_bytes(),
                                  from.min_write_bytes(),
                                  to.min_write_bytes,
                                  kMegabyte,
                                  kTerabyte);
  to.min_read_operations = check.number<std::uint32_t>("safety.min_read_operations",
                                                       from.has_min_read_operations(),
                                                       from.min_read_operations(),
                                                       to.min_read_operations,
                                                       10,
                                                       1'000'000);
  to.min_write_operations = check.number<std::uint32_t>("safety.min_write_operations",
                                                        from.has_min_write_operations(),
                                                        from.min_write_operations(),
                                                        to.min_write_operations,
                                                        10,
                                                        1'000'000);
  to.min_cpu_cores_per_vcpu = check.number("safety.min_cpu_cores_per_vcpu",
                                           from.has_min_cpu_cores_per_vcpu(),
                                           from.min_cpu_cores_per_vcpu(),
                                           to.min_cpu_cores_per_vcpu,
                                           0.1,
                                           1.0);
  to.max_limited_vm_ratio = check.number("safety.max_limited_vm_ratio",
                                         from.has_max_limited_vm_ratio(),
                                         from.max_limited_vm_ratio(),
                                         to.max_limited_vm_ratio,
                                         0.01,
                                         1.0);
  to.max_changes_per_minute = check.number<std::uint32_t>("safety.max_changes_per_minute",
                                                          from.has_max_changes_per_minute(),
                                                          from.max_changes_per_minute(),
                                                          to.max_changes_per_minute,
                                                          1,
                                                          1000);
  to.lease = check.duration(
      "safety.lease", from.has_lease(), from.lease(), to.lease, seconds(10), minutes(10));
  to.max_lease = check.duration("safety.max_lease",
                                from.has_max_lease(),
                                from.max_lease(),
                                to.max_lease,
                                minutes(1),
                                hours(168));
  if (to.max_lease < to.lease) {
    check.fault_of_either(
        "safety.max_lease",
        "safety.lease",
        fmt::format(
            "{} is shorter than 'safety.lease' ({})", written(to.max_lease), written(to.lease)));
  }
  to.drain_ratio = check.number(
      "safety.drain_ratio", from.has_drain_ratio(), from.drain_ratio(), to.drain_ratio, 0.05, 0.5);
  if (from.has_allow_write_limits()) {
    to.allow_write_limits = from.allow_write_limits();
  }
  if (from.has_allow_cgroupfs_fallback()) {
    to.allow_cgroupfs_fallback = from.allow_cgroupfs_fallback();
  }
  return to;
}

}  // namespace

PolicyConfig validate_policy(Checker& check, const v1::Config& from) {
  PolicyConfig to;
  to.mode = check.optional_mode("policy.mode", from.policy().has_mode(), from.policy().mode())
                .value_or(to.mode);
  to.protected_vms =
      check.globs("policy.protected_vms", from.policy().protected_vms(), GlobOf::kVm);
  to.protected_units =
      check.globs("policy.protected_units", from.policy().protected_units(), GlobOf::kUnit);
  to.safety = safety(check, from.safety());
  for (const v1::VmClassConfig& one : from.vm_class()) {
    to.classes.push_back(validate_vm_class(check, one, to.safety));
  }
  reject_unreachable_classes(check, to.classes);
  return to;
}

}  // namespace hvguard::config
