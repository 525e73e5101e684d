#include "enforce/limit_entry.h"

#include <utility>

#include <fmt/format.h>

namespace hvguard::enforce {
namespace {

bool has(const LimitEntry& entry, SettingValue value) {
  return may_be_ours(entry.key.kind, entry.ours, entry.earlier, value);
}

bool is(const LimitEntry& entry, SettingValue value) {
  return same_value(entry.key.kind, entry.in_kernel, value);
}

void let_go(LimitEntry& entry, std::string why, BootTime now) {
  entry.owned = false;
  entry.confirmed = false;
  entry.in_systemd = false;
  entry.stored = false;
  entry.ours.clear();
  if (entry.wanted) {
    entry.let_go_at = entry.wanted->value;
  }
  entry.set_state(OutcomeState::kForeign, std::move(why), now);
}

// memory.low protects: there is no telling what loosens it, so it is set as it is wanted.
bool would_loosen(const LimitEntry& entry) {
  if (entry.wanted->origin == LimitOrigin::kBaseline || !entry.in_kernel ||
      entry.key.kind == LimitKind::kMemoryLow) {
    return false;
  }
  return is_tighter(entry.key.kind, *entry.in_kernel, entry.wanted->value);
}

// Not owned, and wanted.
std::optional<Setting> take(LimitEntry& entry, const LeaseRecord* left_over, BootTime now) {
  const SettingValue wanted = entry.wanted->value;
  if (left_over != nullptr) {
    const bool left =
        may_be_ours(entry.key.kind, left_over->ours, left_over->earlier, entry.in_kernel);
    if (left || is(entry, left_over->earlier)) {
      entry.owned = true;
      entry.ours = left_over->ours;
      entry.in_systemd = !left_over->unit.empty();
      entry.earlier = left_over->earlier;
      return Setting{entry.key, wanted};
    }
  }
  if (is(entry, wanted)) {
    entry.failed_attempts = 0;
    entry.set_state(OutcomeState::kInForce, "it was so already", now);
    return std::nullopt;
  }
  if (would_loosen(entry)) {
    entry.set_state(OutcomeState::kForeign,
                    fmt::format("someone else holds it to {} already, which is less: left alone",
                                format_value(entry.in_kernel)),
                    now);
    return std::nullopt;
  }
  entry.owned = true;
  entry.earlier = entry.in_kernel;
  return Setting{entry.key, wanted};
}

// Owned, and not wanted any more.
std::optional<Setting> give_back(LimitEntry& entry, BootTime now) {
  if (!is(entry, entry.earlier) && !has(entry, entry.in_kernel)) {
    let_go(entry, fmt::format("someone else set it to {}", format_value(entry.in_kernel)), now);
    return std::nullopt;
  }
  if (is(entry, entry.earlier) && !entry.in_systemd) {
    let_go(entry, "", now);
    entry.set_state(OutcomeState::kReleased, "", now);
    return std::nullopt;
  }
  return Setting{entry.key, entry.earlier};
}

}  // namespace

void LimitEntry::set_state(OutcomeState to, std::string why, BootTime now) {
  if (state != to || since == BootTime{}) {
    state = to;
    since = now;
  }
  detail = std::move(why);
}

void LimitEntry::fail_with(OutcomeState to, std::string why, BootTime now) {
  ++failed_attempts;
  set_state(to, std::move(why), now);
}

std::string objection(const LimitEntry& entry, const LimitTarget& target) {
  if (!entry.wanted) {
    return "";
  }
  const LimitKind kind = entry.key.kind;
  if (target.libvirt && (kind == LimitKind::kIoWeight || kind == LimitKind::kCpuWeight)) {
    return "libvirt sets the weights of its scopes itself: use virsh schedinfo or blkiotune";
  }
  const auto checked = check_setting({entry.key, entry.wanted->value});
  return checked ? "" : checked.error().message;
}

bool is_due(const LimitEntry& entry, const LimitTarget& target) {
  if (!entry.wanted) {
    return entry.owned;
  }
  if (entry.let_go_at == entry.wanted->value || !objection(entry, target).empty()) {
    return false;
  }
  if (!entry.owned) {
    // In force without us, or held tighter by someone: looked at again when it is read anyway.
    return !entry.known ||
           (entry.state != OutcomeState::kInForce && entry.state != OutcomeState::kForeign);
  }
  return !entry.confirmed || !same_value(entry.key.kind, entry.ours.back(), entry.wanted->value) ||
         (!target.unit.empty() && !entry.stored);
}

std::optional<Setting> judge(LimitEntry& entry,
                             const LimitTarget& target,
                             const LeaseRecord* left_over,
                             BootTime now) {
  if (entry.wanted && !objection(entry, target).empty()) {
    return std::nullopt;
  }
  if (entry.owned && entry.confirmed && !has(entry, entry.in_kernel)) {
    // A value that only the file had is taken back by systemd at any time: that is nobody's wish.
    const bool by_systemd = !target.unit.empty() && !entry.stored && is(entry, entry.earlier);
    if (!by_systemd) {
      let_go(entry,
             fmt::format("someone else set it to {}: left alone until another value is wanted",
                         format_value(entry.in_kernel)),
             now);
    }
    entry.confirmed = false;
  }
  if (!entry.wanted) {
    return entry.owned ? give_back(entry, now) : std::nullopt;
  }
  if (entry.let_go_at == entry.wanted->value) {
    return std::nullopt;
  }
  entry.let_go_at.reset();
  if (!entry.owned) {
    return take(entry, left_over, now);
  }
  const SettingValue wanted = entry.wanted->value;
  const bool newest = !entry.ours.empty() && same_value(entry.key.kind, entry.ours.back(), wanted);
  if (is(entry, wanted) && newest && (target.unit.empty() || entry.stored)) {
    verify(entry, target, wanted, "", now);
    return std::nullopt;
  }
  return Setting{entry.key, wanted};
}

void verify(LimitEntry& entry,
            const LimitTarget& target,
            SettingValue to,
            const std::string& error,
            BootTime now) {
  if (!entry.wanted && same_value(entry.key.kind, to, entry.earlier) && is(entry, to)) {
    if (entry.in_systemd && !entry.stored) {
      entry.fail_with(OutcomeState::kReleased,
                      "the kernel has it back; systemd has yet to be told: " + error,
                      now);
      return;
    }
    let_go(entry, "", now);
    entry.failed_attempts = 0;
    entry.set_state(OutcomeState::kReleased, "", now);
    return;
  }
  if (is(entry, to)) {
    entry.confirmed = true;
    entry.ours = {to};
    if (!target.unit.empty() && !entry.stored && !error.empty()) {
      entry.fail_with(
          OutcomeState::kInForce, "in the kernel alone, systemd has yet to take it: " + error, now);
      return;
    }
    entry.failed_attempts = 0;
    entry.set_state(OutcomeState::kInForce, "", now);
    return;
  }
  entry.confirmed = false;
  entry.stored = false;
  if (!error.empty()) {
    entry.fail_with(OutcomeState::kFailed, error, now);
    return;
  }
  if (entry.key.kind == LimitKind::kMemoryHigh && entry.lever == LeverKind::kCgroupfs) {
    entry.set_state(OutcomeState::kPending, "is lowered in steps", now);
    return;
  }
  entry.fail_with(OutcomeState::kDiffers,
                  fmt::format("the kernel has {} instead of {}{}",
                              format_value(entry.in_kernel),
                              format_value(to),
                              target.unit.empty() || !is_per_device(entry.key.kind)
                                  ? ""
                                  : "; the unit may name the same device by another path: "
                                    "systemctl show -p IOReadBandwidthMax"),
                  now);
}

bool is_finished(const LimitEntry& entry) {
  return !entry.owned && !entry.wanted;
}

}  // namespace hvguard::enforce
