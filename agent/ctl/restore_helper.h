// Runs `hvguard-limits restore`: puts back what the journal in /run/hvguard says, without any
// daemon.
#pragma once

#include <string>

#include "base/result.h"

namespace hvguard::ctl {

// Waits for it; its words go to our standard error. kNotFound if it is not installed at that path.
Result<> run_restore_helper(const std::string& path);

}  // namespace hvguard::ctl
