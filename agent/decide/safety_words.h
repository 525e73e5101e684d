// What safety says to people. Pure. Every sentence names the rule that is in the way and what the
// operator can do about it.
#pragma once

#include <string>

#include "decide/safety_rules.h"

namespace hvguard {

// Why this is not granted as it is; `wish` as it was when the obstacle was met.
[[nodiscard]] std::string explain(const SafetyWorld& world,
                                  const Objection& objection,
                                  const Wish& wish);

// "wanted by an operator: nightly backup"
[[nodiscard]] std::string reason_of(const Limit& limit);

}  // namespace hvguard
