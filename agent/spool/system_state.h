// Whether the host is being shut down, by systemd's own word. Main thread, at the end.
#pragma once

#include "base/result.h"
#include "base/time.h"

namespace hvguard::spool {

// systemd's Manager property SystemState is "stopping" (systemctl(1), is-system-running), as soon
// as shutdown.target is queued. kTimeout, kUnavailable and others: not known. Never waits beyond
// the deadline.
[[nodiscard]] Result<bool> system_is_stopping(BootTime deadline);

}  // namespace hvguard::spool
