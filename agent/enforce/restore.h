// Puts back what the lease journal says, whoever left it: the restorer that outlives the guard,
// ExecStopPost, the next start, and a person. Compare, then restore: what no longer is ours is left
// as it is. Files first, since that works while PID 1 stands still; then the properties in systemd,
// without which a daemon-reload would bring our limits back.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/time.h"
#include "enforce/lease_journal.h"
#include "enforce/unit_properties.h"

namespace hvguard::enforce {

// Resets properties of a unit, and waits for systemd's answer.
using SetUnit =
    std::function<Result<>(const std::string& unit, const std::vector<UnitProperty>& properties)>;

struct RestoreReport {
  std::size_t restored = 0;
  std::size_t unchanged = 0;           // it had its earlier value already
  std::size_t foreign = 0;             // someone else's value: left alone
  std::size_t gone = 0;                // the cgroup has vanished, and the limit with it
  std::size_t failed = 0;              // still to be put back
  std::vector<std::string> lines;      // for people, at most 256: one for each but `unchanged`
  std::vector<LeaseRecord> remaining;  // what the journal has to keep
};

// `sys/fs/cgroup` is `mount`.
[[nodiscard]] RestoreReport restore(const DirFd& mount,
                                    const std::vector<LeaseRecord>& records,
                                    const SetUnit& set_unit);

// "2 restored, 1 gone": for people.
[[nodiscard]] std::string summary(const RestoreReport& report);

}  // namespace hvguard::enforce
