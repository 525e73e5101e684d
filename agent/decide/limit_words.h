// Limits in words for people. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/limit.h"

namespace hvguard {

// "16.0 MB/s", "200 operations/s", "512 MiB", "1.50 cores": in the unit of the kind.
[[nodiscard]] std::string format_limit(LimitKind kind, std::uint64_t value);

// The limits that a class gives a VM come and go together: what was decided alike about one VM, one
// after the other and for no incident, becomes one Decision about the VM as a whole.
[[nodiscard]] std::vector<Decision> fold_decisions(std::vector<Decision> decisions);

}  // namespace hvguard
