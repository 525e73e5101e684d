// Log lines of hvguard-spool (base/log_line.h). Main thread.
#pragma once

#include "base/log_line.h"

namespace hvguard::spool {

using Level = LogPriority;

inline void log_line(Level level, std::string_view text) {
  hvguard::log_line("hvguard-spool", level, text);
}

}  // namespace hvguard::spool
