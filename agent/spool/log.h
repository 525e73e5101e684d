// Log lines of hvguard-spool: one per event, to stderr, with the priority that journald reads
// (sd-daemon(3)). Main thread. A stuck journald may hold this process back: that is what it is for.
#pragma once

#include <string_view>

namespace hvguard::spool {

// Values are syslog priorities.
enum class Level { kError = 3, kWarning = 4, kInfo = 6 };

void log_line(Level level, std::string_view text);

}  // namespace hvguard::spool
