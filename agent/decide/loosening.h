// Loosening of limits that somebody waits behind (throttle_chain.h). Pure; once per tick, before
// the rules are asked.
#pragma once

#include "decide/safety_rules.h"

namespace hvguard {

// Doubles what holds at once and every kLoosenEvery, drops it after kLoosenSteps or when the wait
// is half of the hung-task timeout, and forgets it after kThrottleCalmFor without a sign. What does
// not hold yet is not to begin there. Time in which nothing is known is not calm.
void update_loosened(const SafetyWorld& world, SafetyState& state);

}  // namespace hvguard
