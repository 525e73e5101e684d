#include "enforce/lever.h"

#include <algorithm>

#include "enforce/unit_properties.h"

namespace hvguard::enforce {

LimitTarget target_of(const VmReading& vm) {
  const VmIdentity& identity = vm.identity;
  // What lies below user@UID.service is a unit of that user's manager, not of PID 1.
  const bool of_unit = is_limitable_unit(identity.unit) &&
                       identity.cgroup_path.ends_with("/" + identity.unit) &&
                       identity.cgroup_path.find("/user@") == std::string::npos;
  return {.vm = vm.id,
          .unit = of_unit ? identity.unit : "",
          .cgroup_path = identity.cgroup_path,
          .cgroup = vm.cgroups.empty() ? vm.id.cgroup : vm.cgroups.front(),
          .libvirt = identity.unit.starts_with("machine-qemu\\x2d"),
          .no_io_controller = std::ranges::find(vm.topology.missing_controllers, "io") !=
                              vm.topology.missing_controllers.end()};
}

}  // namespace hvguard::enforce
