// Where hvguardd itself lives: no VM is ever limited there. Read once, at the start.
#pragma once

#include "decide/planner.h"

namespace hvguard::guard {

// Empty where /proc/self/cgroup cannot be read; the unit is empty outside systemd's units.
[[nodiscard]] OwnPlace read_own_place();

}  // namespace hvguard::guard
