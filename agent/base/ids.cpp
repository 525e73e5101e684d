#include "base/ids.h"

#include <fmt/format.h>

#include "base/parse.h"

namespace hvguard {

std::string to_string(const VmId& id) {
  return fmt::format("{}-{:x}-{}", id.tgid, id.start.since_boot.count(), id.cgroup.value);
}

Result<VmId> parse_vm_id(std::string_view text) {
  const auto first = text.find('-');
  const auto last = text.rfind('-');
  if (first == std::string_view::npos || last == first) {
    return fail(Errc::kInvalid, "VM id has the form PID-START-CGROUP; hvguardctl vms lists them");
  }
  const auto tgid = parse_number<Pid>(text.substr(0, first));
  const auto start = parse_number<std::int64_t>(text.substr(first + 1, last - first - 1), 16);
  const auto cgroup = parse_number<std::uint64_t>(text.substr(last + 1));
  if (!tgid || !start || !cgroup || *tgid < 0 || *start < 0) {
    return fail(Errc::kInvalid, "VM id has the form PID-START-CGROUP; hvguardctl vms lists them");
  }
  return VmId{*tgid, BootTime{Nanoseconds(*start)}, CgroupId{*cgroup}};
}

std::string to_string(const DeviceId& id) {
  return fmt::format("{}:{}", id.major, id.minor);
}

Result<DeviceId> parse_device_id(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) {
    return fail(Errc::kInvalid, "device number has the form MAJOR:MINOR");
  }
  const auto major_number = parse_number<std::uint32_t>(text.substr(0, colon));
  const auto minor_number = parse_number<std::uint32_t>(text.substr(colon + 1));
  if (!major_number || !minor_number) {
    return fail(Errc::kInvalid, "device number has the form MAJOR:MINOR");
  }
  return DeviceId{*major_number, *minor_number};
}

}  // namespace hvguard
