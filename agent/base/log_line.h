// Log lines of the small processes beside hvguardd: one per event, to stderr, with the priority
// that journald reads (sd-daemon(3)). Any thread; never waits for a journald that is stuck: what
// finds no room is left out, counted, and told of by the next line that goes out.
#pragma once

#include <string_view>

namespace hvguard {

// Values are syslog priorities.
enum class LogPriority { kError = 3, kWarning = 4, kInfo = 6 };

// At most 1 KiB of `text`; `program` is its own name, "hvguard-spool".
void log_line(std::string_view program, LogPriority priority, std::string_view text);

}  // namespace hvguard
