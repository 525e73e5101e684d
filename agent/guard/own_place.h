// Where hvguardd itself lives, where no VM is ever limited, and where cgroups are. Read once, at
// the start.
#pragma once

#include <string>

#include "decide/planner.h"

namespace hvguard::guard {

// Empty where /proc/self/cgroup cannot be read; the unit is empty outside systemd's units.
[[nodiscard]] OwnPlace read_own_place();

// Where cgroup v2 is mounted, by /proc/self/mountinfo; "/sys/fs/cgroup" if that cannot be read.
[[nodiscard]] std::string read_cgroup_mount();

}  // namespace hvguard::guard
