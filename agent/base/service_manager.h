// A word to the service manager, as sd_notify(3) sends it, but never waiting: sd_notify() blocks
// while PID 1 reads nothing and its queue is full (net.unix.max_dgram_qlen messages of all services
// together), and a PID 1 that stands still is a host in trouble. Any thread.
#pragma once

#include <string_view>

namespace hvguard {

// "READY=1", "WATCHDOG=1\nSTATUS=…" to $NOTIFY_SOCKET, a path or "@name" in the abstract name
// space. False: it was not taken, because the queue is full or nobody is there; to be said again
// where it matters. True also where there is no service manager.
bool tell_service_manager(std::string_view state);

}  // namespace hvguard
