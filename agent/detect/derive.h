// derive: Facts from two Snapshots. Pure; called by the Pipeline once per tick.
// What has no predecessor, went back or is missing stays absent; no rate is ever negative.
#pragma once

#include "model/facts.h"
#include "model/snapshot.h"

namespace hvguard {

// previous: the Snapshot of an earlier tick, or null. It counts as null if it is of another boot
// or its clock is not before current's.
[[nodiscard]] Facts derive(const Snapshot* previous, const Snapshot& current);

}  // namespace hvguard
