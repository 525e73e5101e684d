// The reads of hvguard-probe itself: files and links of /proc/PID that can wait for another task's
// mmap_lock or exec_update_lock, or (cgroup, before 6.12) for cgroup_mutex. Never called in
// hvguardd. Each stage is one answer, ordered from what hangs least to what hangs most.
#pragma once

#include <functional>

#include "base/fd.h"
#include "observe/probe_protocol.h"

namespace hvguard::observe {

using SendAnswer = std::function<void(const ProbeAnswer&)>;

// Sends kCgroup, kProcess and kCommandLine.
void probe_process(const DirFd& proc, const ProbeRequest& request, const SendAnswer& send);
// Sends kBus: KillMode of the unit from PID 1, the machine's name from systemd-machined.
void probe_bus(const ProbeRequest& request, const SendAnswer& send);

}  // namespace hvguard::observe
