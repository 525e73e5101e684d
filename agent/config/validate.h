// Draft → Config: ranges, units, and rules between keys. Keys that no file sets keep the default of
// model/config.h. Pure; the configuration reader's thread.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "config/draft.h"
#include "model/config.h"

namespace hvguard::config {

// "500ms", "10s", "5min", "1h": a number without sign, a unit, nothing else. None for all other
// texts and for what does not fit.
[[nodiscard]] std::optional<Nanoseconds> parse_duration(std::string_view text);

struct Validated {
  hvguard::Config config;  // of use only without faults
  std::vector<Fault> faults;
};

[[nodiscard]] Validated validate(const Draft& draft);

}  // namespace hvguard::config
