// Gives up what only the start needs: /sys/fs/pstore and what systemd-pstore has moved are root's
// alone, so the unit gives CAP_DAC_READ_SEARCH, and it is gone before anything else is read.
#pragma once

#include "base/result.h"

namespace hvguard::spool {

// All capabilities, for good. Single-threaded processes only.
Result<> drop_capabilities();

}  // namespace hvguard::spool
