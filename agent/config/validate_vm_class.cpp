#include "config/validate_vm_class.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "config/units.h"

namespace hvguard::config {
namespace {

constexpr std::uint64_t kMostMemory = std::uint64_t{64} << 40;  // larger than any host's
constexpr std::uint64_t kMostBytesPerSecond = 1'000'000'000'000;
constexpr std::uint32_t kMostOperations = 100'000'000;
constexpr std::uint32_t kMostPids = 4'194'304;  // PID_MAX_LIMIT, include/linux/threads.h
constexpr std::uint32_t kMostWeight = 10'000;   // CGROUP_WEIGHT_MAX, include/linux/cgroup.h
constexpr double kMostCores = 8192;             // NR_CPUS of any distribution's kernel

// One class: its keys are "vm_class.NAME.key".
class ClassChecker {
 public:
  ClassChecker(Checker& check, const v1::VmClassConfig& from, const SafetyConfig& safety)
      : check_(check), from_(from), safety_(safety) {}

  VmClass take() {
    VmClass to;
    to.name = from_.name();
    to.match = match();
    to.mode = check_.optional_mode(key("mode"), from_.has_mode(), from_.mode());
    to.is_protected = from_.protect();
    VmBaseline& baseline = to.baseline;
    baseline.io_weight = weight("io_weight", from_.has_io_weight(), from_.io_weight());
    baseline.cpu_weight = weight("cpu_weight", from_.has_cpu_weight(), from_.cpu_weight());
    io(baseline);
    memory(baseline);
    baseline.pids_max = check_.optional_number<std::uint32_t>(
        key("pids_max"),
        from_.has_pids_max(),
        from_.pids_max(),
        kMinPidsMax,
        kMostPids,
        ", since a VM manager that cannot start a thread aborts or stops its guest's IO");
    baseline.cpu_max_cores = check_.optional_number(
        key("cpu_max"),
        from_.has_cpu_max(),
        from_.cpu_max(),
        safety_.min_cpu_cores_per_vcpu,
        kMostCores,
        " cores; it begins at 'safety.min_cpu_cores_per_vcpu', which each vCPU needs");
    protection();
    return to;
  }

 private:
  [[nodiscard]] std::string key(std::string_view name) const {
    return fmt::format("vm_class.{}.{}", from_.name(), name);
  }
  [[nodiscard]] bool is_set(std::string_view name) const { return check_.is_set(key(name)); }

  // No list means all, so an empty one would mean the opposite of what it says.
  std::vector<std::string> globs(std::string_view name,
                                 const google::protobuf::RepeatedPtrField<std::string>& texts,
                                 GlobOf what) {
    if (texts.empty() && is_set(name)) {
      check_.fault(key(name), "names nothing; remove the key if it shall fit all");
    }
    return check_.globs(key(name), texts, what);
  }

  VmMatch match() {
    VmMatch to;
    to.vms = globs("vms", from_.vms(), GlobOf::kVm);
    to.units = globs("units", from_.units(), GlobOf::kUnit);
    to.min_guest_memory_bytes =
        memory_size("min_guest_memory", from_.has_min_guest_memory(), from_.min_guest_memory());
    to.max_guest_memory_bytes =
        memory_size("max_guest_memory", from_.has_max_guest_memory(), from_.max_guest_memory());
    if (to.min_guest_memory_bytes && to.max_guest_memory_bytes &&
        *to.max_guest_memory_bytes < *to.min_guest_memory_bytes) {
      check_.fault(key("max_guest_memory"),
                   fmt::format("{} is less than 'min_guest_memory' ({}): no VM fits",
                               written_size(*to.max_guest_memory_bytes),
                               written_size(*to.min_guest_memory_bytes)));
    }
    return to;
  }

  std::optional<std::uint32_t> weight(std::string_view name, bool is_set, std::uint32_t value) {
    return check_.optional_number<std::uint32_t>(key(name), is_set, value, 1, kMostWeight);
  }

  std::optional<std::uint64_t> memory_size(std::string_view name,
                                           bool is_set,
                                           std::uint64_t value,
                                           std::uint64_t least = 0,
                                           std::string_view why = {}) {
    return check_.optional_size(key(name), is_set, value, least, kMostMemory, why);
  }

  void io(VmBaseline& to) {
    static constexpr std::string_view kFloor =
        "; it begins at 'safety.min_{}', below which a limit can itself make a hung task";
    to.read_bytes = check_.optional_size(key("read_bytes"),
                                         from_.has_read_bytes(),
                                         from_.read_bytes(),
                                         safety_.min_read_bytes,
                                         kMostBytesPerSecond,
                                         fmt::format(kFloor, "read_bytes"));
    to.write_bytes = check_.optional_size(key("write_bytes"),
                                          from_.has_write_bytes(),
                                          from_.write_bytes(),
                                          safety_.min_write_bytes,
                                          kMostBytesPerSecond,
                                          fmt::format(kFloor, "write_bytes"));
    to.read_operations = check_.optional_number(key("read_operations"),
                                                from_.has_read_operations(),
                                                from_.read_operations(),
                                                safety_.min_read_operations,
                                                kMostOperations,
                                                fmt::format(kFloor, "read_operations"));
    to.write_operations = check_.optional_number(key("write_operations"),
                                                 from_.has_write_operations(),
                                                 from_.write_operations(),
                                                 safety_.min_write_operations,
                                                 kMostOperations,
                                                 fmt::format(kFloor, "write_operations"));
    to.devices = globs("devices", from_.devices(), GlobOf::kDevice);
    for (const std::string_view name : {"write_bytes", "write_operations"}) {
      if (is_set(name) && !safety_.allow_write_limits) {
        check_.fault(key(name),
                     "a throttled writer can hold a journal that all others wait for, so write "
                     "limits need 'safety.allow_write_limits = true'; hvguard.toml(5) says where "
                     "they are safe");
      }
    }
    if (is_set("devices") && !is_set("read_bytes") && !is_set("read_operations") &&
        !is_set("write_bytes") && !is_set("write_operations")) {
      check_.fault(key("devices"),
                   "chooses devices for read_bytes, read_operations, write_bytes or "
                   "write_operations, and none of them is set");
    }
  }

  void memory(VmBaseline& to) {
    to.memory_low_bytes = memory_size("memory_low", from_.has_memory_low(), from_.memory_low());
    to.swap_max_bytes = memory_size("swap_max", from_.has_swap_max(), from_.swap_max());
    to.memory_high_overhead_bytes =
        memory_size("memory_high_overhead",
                    from_.has_memory_high_overhead(),
                    from_.memory_high_overhead(),
                    kMinMemoryHighOverhead,
                    ": with less above guest memory, the guest stands still while it fills it");
    to.memory_max_overhead_bytes =
        memory_size("memory_max_overhead",
                    from_.has_memory_max_overhead(),
                    from_.memory_max_overhead(),
                    kMinMemoryMaxOverhead,
                    ": with less above guest memory, the kernel may kill a healthy VM");
    if (to.memory_high_overhead_bytes && to.memory_max_overhead_bytes &&
        *to.memory_max_overhead_bytes < *to.memory_high_overhead_bytes) {
      check_.fault(key("memory_max_overhead"),
                   fmt::format("{} is less than 'memory_high_overhead' ({}): memory.max would kill "
                               "before memory.high slows down",
                               written_size(*to.memory_max_overhead_bytes),
                               written_size(*to.memory_high_overhead_bytes)));
    }
  }

  void protection() {
    static constexpr std::array<std::string_view, 9> kHoldBack = {"read_bytes",
                                                                  "read_operations",
                                                                  "write_bytes",
                                                                  "write_operations",
                                                                  "memory_high_overhead",
                                                                  "memory_max_overhead",
                                                                  "swap_max",
                                                                  "pids_max",
                                                                  "cpu_max"};
    for (const std::string_view name : kHoldBack) {
      if (from_.protect() && is_set(name)) {
        check_.fault(key(name),
                     "would hold VMs back that 'protect = true' of the same class protects: "
                     "remove one of them");
      }
    }
  }

  Checker& check_;
  const v1::VmClassConfig& from_;
  const SafetyConfig& safety_;
};

}  // namespace

VmClass validate_vm_class(Checker& check,
                          const v1::VmClassConfig& from,
                          const SafetyConfig& safety) {
  return ClassChecker(check, from, safety).take();
}

void reject_unreachable_classes(Checker& check, const std::vector<VmClass>& classes) {
  for (std::size_t i = 0; i + 1 < classes.size(); ++i) {
    const VmMatch& match = classes[i].match;
    if (match.vms.empty() && match.units.empty() && !match.min_guest_memory_bytes &&
        !match.max_guest_memory_bytes) {
      check.fault(fmt::format("vm_class.{}.name", classes[i].name),
                  fmt::format("fits every VM, so that the classes after it, such as '{}', never "
                              "do: put it last, or say which VMs it is for",
                              classes[i + 1].name));
    }
  }
}

}  // namespace hvguard::config
