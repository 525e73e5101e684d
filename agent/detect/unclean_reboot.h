// unclean_reboot: the host went down without a clean stop and has come back. Its only input is
// hvguard-spool's record of the boot before (Snapshot::previous_boot). Pure; called once per tick.
//
// Rules
// - Opens if the record's last word is "running" and it is of another boot. Not if the host was
//   shut down, nor if hvguard-spool had been stopped before: then how the boot ended is not known.
// - The event is the last record: the host died then, or within the minute after it.
// - It stays for open_for after the boot, so that whoever looks within that time sees it.
#pragma once

#include <optional>
#include <string>

#include "base/time.h"
#include "model/config.h"
#include "model/incident.h"
#include "model/snapshot.h"

namespace hvguard {

// Both follow from the wall clock, which may be set while the incident is open; the first answer
// stands, as long as the record does.
struct UncleanRebootState {
  struct Judged {
    std::string boot_id;  // of the boot before
    BootTime event_time;  // before this boot's start, so below zero
    std::optional<Nanoseconds> down_time;
  };
  std::optional<Judged> judged;
};

[[nodiscard]] std::optional<Finding> detect_unclean_reboot(const UncleanRebootConfig& config,
                                                           UncleanRebootState& state,
                                                           const Snapshot& snapshot);

}  // namespace hvguard
