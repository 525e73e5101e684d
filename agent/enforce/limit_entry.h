// LimitEntry: what is known of one setting of one VM, and what is to be done about it. Pure: the
// rules of owning, letting go and giving back, without any I/O.
//
// owned: hvguard has written a record into the journal, so the kernel or systemd may have a value
// of ours. let go: someone else changed the setting after we had it; it is theirs until a different
// value is wanted, which is taken for a new decision.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "enforce/lease_journal.h"
#include "enforce/lever.h"
#include "model/limit.h"

namespace hvguard::enforce {

struct WantedLimit {
  std::uint64_t value = 0;
  LimitOrigin origin = LimitOrigin::kBaseline;
};

struct LimitEntry {
  SettingKey key;
  std::optional<WantedLimit> wanted;
  std::optional<std::uint64_t> let_go_at;  // what was wanted when it was let go

  bool owned = false;
  SettingValue earlier;
  std::vector<SettingValue> ours;
  bool confirmed = false;   // the kernel was seen to have ours.back()
  bool in_systemd = false;  // systemd has taken, or may have, a property of ours
  bool stored = false;      // systemd has said that it took ours.back()

  bool known = false;  // in_kernel was read
  SettingValue in_kernel;
  OutcomeState state = OutcomeState::kPending;
  LeverKind lever = LeverKind::kSystemd;
  BootTime since;
  std::uint32_t failed_attempts = 0;
  std::string detail;

  void set_state(OutcomeState to, std::string why, BootTime now);
  void fail_with(OutcomeState to, std::string why, BootTime now);
};

// Before anything is tried: what no lever would do. Empty if nothing is against it.
[[nodiscard]] std::string objection(const LimitEntry& entry, const LimitTarget& target);

// Whether something is to be done, as far as is known without reading the kernel again.
[[nodiscard]] bool is_due(const LimitEntry& entry, const LimitTarget& target);

// What the kernel has now was read into in_kernel: takes note of what that means, and says what to
// write, if anything. `left_over`: a record of an earlier hvguardd for it, or null.
[[nodiscard]] std::optional<Setting> judge(LimitEntry& entry,
                                           const LimitTarget& target,
                                           const LeaseRecord* left_over,
                                           BootTime now);

// After `to` was written and the kernel read into in_kernel: in force, given back, or not.
// `error`: what the lever said; empty if it took it.
void verify(LimitEntry& entry,
            const LimitTarget& target,
            SettingValue to,
            const std::string& error,
            BootTime now);

// Nothing of ours is left in it, and nothing is wanted.
[[nodiscard]] bool is_finished(const LimitEntry& entry);

}  // namespace hvguard::enforce
