#include "decide/policy.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/parse.h"
#include "base/text.h"

namespace hvguard {
namespace {

constexpr std::uint64_t kLargestPage = 64 * 1024;
// More than any host has: a command line that says so is wrong, and the sums below would overflow.
constexpr std::uint64_t kMaxGuestMemory = std::uint64_t{1} << 50;

bool fits_any(const std::vector<std::string>& globs, std::string_view text) {
  return !text.empty() && std::any_of(globs.begin(), globs.end(), [text](const std::string& glob) {
    return glob_match(glob, text);
  });
}

std::optional<std::uint64_t> guest_memory(const VmReading& vm) {
  const auto& bytes = vm.identity.guest_memory_bytes;
  return bytes && *bytes <= kMaxGuestMemory ? bytes : std::nullopt;
}

bool fits(const VmMatch& match, const VmReading& vm) {
  const auto memory = guest_memory(vm);
  return (match.vms.empty() || fits_any(match.vms, vm.identity.name)) &&
         (match.units.empty() || fits_any(match.units, vm.identity.unit)) &&
         (!match.min_guest_memory_bytes || (memory && *memory >= *match.min_guest_memory_bytes)) &&
         (!match.max_guest_memory_bytes || (memory && *memory <= *match.max_guest_memory_bytes));
}

const VmClass* find_class(const PolicyConfig& policy, const VmReading& vm) {
  const auto found = std::find_if(policy.classes.begin(),
                                  policy.classes.end(),
                                  [&vm](const VmClass& one) { return fits(one.match, vm); });
  return found == policy.classes.end() ? nullptr : &*found;
}

VmPolicy classify_as(const VmClass* vm_class,
                     const PolicyConfig& policy,
                     LimitMode host,
                     const VmReading& vm) {
  VmPolicy to;
  to.mode = host;
  to.in_protected_unit = fits_any(policy.protected_units, vm.identity.unit);
  to.is_protected = to.in_protected_unit || fits_any(policy.protected_vms, vm.identity.name);
  if (vm_class != nullptr) {
    to.class_name = vm_class->name;
    to.mode = std::min(host, vm_class->mode.value_or(host));
    to.is_protected = to.is_protected || vm_class->is_protected;
  }
  return to;
}

bool holds_back(LimitKind kind) {
  return kind != LimitKind::kIoWeight && kind != LimitKind::kCpuWeight &&
         kind != LimitKind::kMemoryLow;
}

// What the VM has in use of what `kind` bounds, and the bound it has now.
struct Use {
  std::optional<std::uint64_t> now;
  std::optional<std::uint64_t> bound;
};
Use use_of(LimitKind kind, const VmReading& vm) {
  if (!vm.cgroup) {
    return {};
  }
  switch (kind) {
    case LimitKind::kMemoryHigh:
      return {vm.cgroup->memory_bytes, vm.cgroup->memory_high_bytes};
    case LimitKind::kMemoryMax:
      return {vm.cgroup->memory_bytes, vm.cgroup->memory_max_bytes};
    case LimitKind::kPidsMax:
      return {vm.cgroup->pids_count, vm.cgroup->pids_max};
    default:
      return {};
  }
}

// Guest memory and what a class adds to it, which is at least a share of guest memory.
struct Headroom {
  std::uint64_t configured = 0;
  std::uint64_t least = 0;

  [[nodiscard]] std::uint64_t bytes() const { return std::max(configured, least); }
  [[nodiscard]] std::string text(std::uint64_t memory) const {
    return fmt::format("guest memory {} + {}{}",
                       format_bytes(memory),
                       format_bytes(bytes()),
                       least > configured ? fmt::format(" (its overhead of {} is too little for so "
                                                        "much guest memory)",
                                                        format_bytes(configured))
                                          : "");
  }
};

class Builder {
 public:
  Builder(const PolicyConfig& policy,
          const VmClass& vm_class,
          const VmPolicy& vm_policy,
          const VmReading& vm,
          BootTime now)
      : policy_(policy), class_(vm_class), vm_policy_(vm_policy), vm_(vm), now_(now) {}

  Baselines build(const std::vector<LimitDevice>& devices) && {
    const VmBaseline& from = class_.baseline;
    for (const LimitDevice& device : devices) {
      if (from.devices.empty() || fits_any(from.devices, device.name)) {
        io(device, LimitKind::kReadBytes, from.read_bytes, "read_bytes");
        io(device, LimitKind::kReadOperations, from.read_operations, "read_operations");
        io(device, LimitKind::kWriteBytes, from.write_bytes, "write_bytes");
        io(device, LimitKind::kWriteOperations, from.write_operations, "write_operations");
      }
    }
    plain(LimitKind::kIoWeight, from.io_weight, "io_weight");
    plain(LimitKind::kMemoryLow, whole_pages(from.memory_low_bytes), "memory_low");
    memory(from);
    plain(LimitKind::kSwapMax, whole_pages(from.swap_max_bytes), "swap_max");
    plain(LimitKind::kPidsMax, from.pids_max, "pids_max");
    cpu_max(from.cpu_max_cores);
    plain(LimitKind::kCpuWeight, from.cpu_weight, "cpu_weight");
    std::sort(result_.limits.begin(), result_.limits.end(), [](const Limit& a, const Limit& b) {
      return a.key < b.key;
    });
    return std::move(result_);
  }

 private:
  template <class T>
  void io(const LimitDevice& device, LimitKind kind, std::optional<T> value, std::string_view key) {
    if (value) {
      want(kind,
           device.id,
           *value,
           fmt::format("{} on {} is its {}", to_string(kind), device.name, key));
    }
  }

  template <class T>
  void plain(LimitKind kind, std::optional<T> value, std::string_view key) {
    if (value) {
      want(kind, {}, *value, fmt::format("{} is its {}", to_string(kind), key));
    }
  }

  static std::uint64_t whole_pages(std::uint64_t bytes) {
    return (bytes + kLargestPage - 1) / kLargestPage * kLargestPage;
  }
  static std::optional<std::uint64_t> whole_pages(std::optional<std::uint64_t> bytes) {
    return bytes ? std::optional(whole_pages(*bytes)) : std::nullopt;
  }

  void memory(const VmBaseline& from) {
    const auto above_guest_memory = [this](LimitKind kind,
                                           std::optional<std::uint64_t> overhead,
                                           std::uint64_t (*least)(std::uint64_t)) {
      const auto memory = guest_memory(vm_);
      if (!overhead) {
        return;
      }
      if (!memory) {
        refuse(kind,
               {},
               std::nullopt,
               fmt::format("{} needs the size of guest memory, which the VM's command line does "
                           "not tell",
                           to_string(kind)));
        return;
      }
      const Headroom headroom{*overhead, least(*memory)};
      want(kind,
           {},
           whole_pages(*memory + headroom.bytes()),
           fmt::format("{} is {}", to_string(kind), headroom.text(*memory)));
    };
    above_guest_memory(
        LimitKind::kMemoryHigh, from.memory_high_overhead_bytes, least_memory_high_overhead);
    above_guest_memory(
        LimitKind::kMemoryMax, from.memory_max_overhead_bytes, least_memory_max_overhead);
  }

  void cpu_max(std::optional<double> cores) {
    if (!cores) {
      return;
    }
    static constexpr LimitKind kKind = LimitKind::kCpuMax;
    const auto value = static_cast<std::uint64_t>(std::llround(*cores * 1e6));
    const auto vcpus = vm_.identity.vcpu_count;
    if (!vcpus) {
      refuse(kKind,
             {},
             value,
             "cpu.max needs the number of vCPUs, which the VM's command line does not tell");
      return;
    }
    const double least = policy_.safety.min_cpu_cores_per_vcpu * std::max(1U, *vcpus);
    if (*cores < least) {
      refuse(kKind,
             {},
             value,
             fmt::format("its cpu_max of {:g} cores is too little for {} vCPUs, which need {:g} by "
                         "safety.min_cpu_cores_per_vcpu: raise it, or give them a class of their "
                         "own",
                         *cores,
                         *vcpus,
                         least));
      return;
    }
    want(kKind, {}, value, "cpu.max is its cpu_max");
  }

  void want(LimitKind kind, DeviceId device, std::uint64_t value, std::string reason) {
    const Use use = use_of(kind, vm_);
    if (vm_policy_.is_protected && holds_back(kind)) {
      refuse(kind,
             device,
             value,
             fmt::format("{} would hold it back, and it is protected", to_string(kind)));
    } else if (use.now && *use.now > value && use.bound != value) {
      refuse(kind,
             device,
             value,
             fmt::format("{} waits until the VM uses less than that: {} now",
                         to_string(kind),
                         kind == LimitKind::kPidsMax ? fmt::format("{} tasks", *use.now)
                                                     : format_bytes(*use.now)));
    } else {
      result_.limits.push_back({.key = {.vm = vm_.id, .kind = kind, .device = device},
                                .value = value,
                                .origin = LimitOrigin::kBaseline,
                                .dry_run = is_dry_run(),
                                .reason = sentence(reason),
                                .incident_id = {},
                                .expire_time = std::nullopt});
    }
  }

  void refuse(LimitKind kind,
              DeviceId device,
              std::optional<std::uint64_t> value,
              std::string_view reason) {
    result_.refusals.push_back(
        {.step = DecisionStep::kRefused,
         .time = now_,
         .vm = vm_.id,
         .kind = kind,
         .device = is_per_device(kind) ? std::optional(device) : std::nullopt,
         .value = value,
         .dry_run = is_dry_run(),
         .reason = sentence(reason),
         .incident_id = {}});
  }

  [[nodiscard]] bool is_dry_run() const { return vm_policy_.mode == LimitMode::kDryRun; }
  [[nodiscard]] std::string sentence(std::string_view what) const {
    return fmt::format("class {}: {}", class_.name, what);
  }

  const PolicyConfig& policy_;
  const VmClass& class_;
  const VmPolicy& vm_policy_;
  const VmReading& vm_;
  BootTime now_;
  Baselines result_;
};

}  // namespace

LimitMode host_mode(const PolicyConfig& policy, std::optional<LimitMode> asked) {
  return asked.value_or(policy.mode);
}

VmPolicy classify(const PolicyConfig& policy, LimitMode host, const VmReading& vm) {
  return classify_as(find_class(policy, vm), policy, host, vm);
}

Baselines baselines(const PolicyConfig& policy,
                    LimitMode host,
                    const VmReading& vm,
                    const std::vector<LimitDevice>& devices,
                    BootTime now) {
  const VmClass* vm_class = find_class(policy, vm);
  const VmPolicy vm_policy = classify_as(vm_class, policy, host, vm);
  if (vm_class == nullptr || vm_policy.mode == LimitMode::kObserve) {
    return {};
  }
  return Builder(policy, *vm_class, vm_policy, vm, now).build(devices);
}

}  // namespace hvguard
