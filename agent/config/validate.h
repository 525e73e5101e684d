// Draft → Config: ranges, units, and rules between keys. Keys that no file sets keep the default of
// model/config.h. Pure; the configuration reader's thread.
#pragma once

#include <vector>

#include "config/draft.h"
#include "model/config.h"

namespace hvguard::config {

struct Validated {
  hvguard::Config config;  // of use only without faults
  std::vector<Fault> faults;
};

[[nodiscard]] Validated validate(const Draft& draft);

}  // namespace hvguard::config
