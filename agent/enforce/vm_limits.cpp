#include "enforce/vm_limits.h"

#include <algorithm>
#include <utility>

namespace hvguard::enforce {
namespace {

constexpr std::uint32_t kMaxDepartedTries = 5;
constexpr BootTime kAtOnce{};

bool is_silence(const Error& error) {
  return error.code == Errc::kTimeout || error.code == Errc::kUnavailable;
}

}  // namespace

VmLimits::VmLimits(LimitPorts ports, LimitTarget target)
    : ports_(ports), target_(std::move(target)) {}

void VmLimits::want(const std::map<SettingKey, WantedLimit>& wanted,
                    const LimitTarget& target,
                    BootTime now) {
  now_ = now;
  departed_ = false;
  const bool held = std::ranges::any_of(entries_, [](const auto& e) { return e.second.owned; });
  const bool moved = target.cgroup_path != target_.cgroup_path || target.cgroup != target_.cgroup ||
                     target.unit != target_.unit;
  const bool elsewhere = moved && (held || phase_ != Phase::kIdle);
  if (!elsewhere) {
    if (moved) {
      entries_.clear();
    }
    target_ = target;
  }
  for (auto& [key, entry] : entries_) {
    if ((elsewhere || !wanted.contains(key)) && entry.wanted) {
      entry.wanted.reset();
      next_try_ = kAtOnce;
    }
  }
  if (elsewhere) {
    return;
  }
  for (const auto& [key, limit] : wanted) {
    LimitEntry& entry = entries_[key];
    entry.key = key;
    if (!entry.owned) {
      entry.lever = target_.unit.empty() ? LeverKind::kCgroupfs : LeverKind::kSystemd;
    }
    if (!entry.wanted || entry.wanted->value != limit.value) {
      entry.set_state(OutcomeState::kPending, "", now);
      entry.failed_attempts = 0;
      next_try_ = kAtOnce;
    }
    entry.wanted = limit;
    if (auto against = objection(entry, target_); !against.empty()) {
      entry.set_state(OutcomeState::kFailed, std::move(against), now);
    }
  }
}

void VmLimits::depart(BootTime now) {
  now_ = now;
  if (!std::exchange(departed_, true)) {
    next_try_ = kAtOnce;
    failures_ = 0;
  }
  for (auto& [key, entry] : entries_) {
    entry.wanted.reset();
  }
}

bool VmLimits::finished() const {
  return phase_ == Phase::kIdle &&
         std::ranges::all_of(entries_, [](const auto& e) { return is_finished(e.second); });
}

bool VmLimits::due(BootTime now) const {
  const bool work =
      std::ranges::any_of(entries_, [&](const auto& e) { return is_due(e.second, target_); });
  const bool watched = std::ranges::any_of(
      entries_, [](const auto& e) { return e.second.owned || e.second.wanted.has_value(); });
  return (work && now >= next_try_) || (watched && now >= next_read_);
}

void VmLimits::drive(const LimitOptions& options, BootTime now) {
  options_ = options;
  now_ = now;
  if (phase_ != Phase::kIdle) {
    return;
  }
  // What was given back has been told once.
  std::erase_if(entries_, [&](const auto& e) {
    return is_finished(e.second) && now - e.second.since > std::chrono::seconds(5);
  });
  arm_io(now);
  if (due(now)) {
    read(Phase::kReading);
  }
}

void VmLimits::arm_io(BootTime now) {
  if (!options_.arm_io || io_asked_ || !target_.no_io_controller || target_.unit.empty() ||
      departed_) {
    return;
  }
  io_asked_ = true;
  ports_.systemd->arm_io(target_, now, [self = weak_from_this()](const Result<>& done) {
    if (const auto vm = self.lock(); vm && !done && is_silence(done.error())) {
      vm->io_asked_ = false;  // asked again with the next tick
    }
  });
}

void VmLimits::read(Phase phase) {
  phase_ = phase;
  std::vector<SettingKey> keys;
  for (const auto& [key, entry] : entries_) {
    if (!is_finished(entry) && keys.size() < kMaxSettings) {
      keys.push_back(key);
    }
  }
  ports_.reader->read(target_, keys, now_, [self = weak_from_this()](Result<LimitsAnswer> answer) {
    if (const auto vm = self.lock()) {
      vm->on_read(std::move(answer));
    }
  });
}

void VmLimits::note(const LimitsAnswer& answer) {
  io_max_ = answer.io_max;
  for (const SettingResult& result : answer.results) {
    if (const auto found = entries_.find(result.key); found != entries_.end()) {
      found->second.known = result.known;
      found->second.in_kernel = result.value;
      if (!result.known && is_due(found->second, target_)) {
        found->second.fail_with(OutcomeState::kFailed, result.error, now_);
      }
    }
  }
}

void VmLimits::on_read(Result<LimitsAnswer> answer) {
  const Phase phase = phase_;
  next_read_ = now_ + kLimitReadInterval;
  if (answer && answer->gone) {
    on_gone();
    return;
  }
  if (!answer) {
    for (auto& [key, entry] : entries_) {
      if (is_due(entry, target_)) {
        entry.fail_with(OutcomeState::kFailed, answer.error().message, now_);
      }
    }
    settle(false);
    return;
  }
  note(*answer);
  if (phase == Phase::kVerifying) {
    on_verified();
  } else {
    choose();
  }
}

// A scope's properties went with its cgroup. A service keeps them for its next start.
void VmLimits::on_gone() {
  Batch batch{.lever = ports_.systemd, .changes = {}, .error = {}};
  for (auto& [key, entry] : entries_) {
    if (entry.owned && entry.in_systemd && target_.unit.ends_with(".service")) {
      batch.changes[key] = entry.earlier;
    }
  }
  const auto forget_all = [this] {
    for (const auto& [key, entry] : entries_) {
      ports_.journal->forget(target_.vm, key);
    }
    std::map<SettingKey, LimitEntry> kept;
    for (auto& [key, entry] : entries_) {
      if (entry.wanted) {  // until the snapshot says that the VM is gone too
        kept[key].key = key;
        kept[key].wanted = entry.wanted;
        kept[key].fail_with(OutcomeState::kFailed, "the VM's cgroup is gone", now_);
      }
    }
    entries_ = std::move(kept);
    settle(false);
  };
  if (batch.changes.empty()) {
    forget_all();
    return;
  }
  phase_ = Phase::kApplying;
  LeverTask task{target_, {}, {}};
  for (const auto& [key, value] : batch.changes) {
    task.changes.push_back({key, value});
  }
  ports_.systemd->apply(
      std::move(task), now_, [self = weak_from_this(), forget_all](const Result<>& done) {
        const auto vm = self.lock();
        if (!vm) {
          return;
        }
        if (!done && is_silence(done.error()) && vm->failures_ < kMaxDepartedTries) {
          vm->settle(false);  // once more
          return;
        }
        forget_all();
      });
}

void VmLimits::choose() {
  Batch direct{.lever = ports_.cgroupfs, .changes = {}, .error = {}};
  Batch by_unit{.lever = ports_.systemd, .changes = {}, .error = {}};
  for (auto& [key, entry] : entries_) {
    if (!entry.known) {
      continue;
    }
    const bool owned = entry.owned;
    const auto change = judge(entry, target_, ports_.journal->find(target_.vm, key), now_);
    if (owned && !entry.owned) {
      ports_.journal->forget(target_.vm, key);
    }
    if (!change) {
      continue;
    }
    // Lowering memory.high reclaims in the writer, which would be PID 1: the helper does that
    // first.
    const bool reclaims = key.kind == LimitKind::kMemoryHigh && change->value &&
                          (!entry.in_kernel || *entry.in_kernel > *change->value) &&
                          !same_value(key.kind, entry.in_kernel, change->value);
    (target_.unit.empty() || reclaims ? direct : by_unit).changes[key] = change->value;
  }
  if (direct.changes.empty() && by_unit.changes.empty()) {
    settle(true);
  } else if (now_ < next_try_) {
    phase_ = Phase::kIdle;  // only looked
  } else {
    write(direct.changes.empty() ? std::move(by_unit) : std::move(direct));
  }
}

Result<> VmLimits::record(const Batch& batch) {
  std::vector<LeaseRecord> records;
  for (const auto& [key, value] : batch.changes) {
    const LimitEntry& entry = entries_.at(key);
    LeaseRecord record{.vm = target_.vm,
                       .unit = target_.unit,
                       .cgroup_path = target_.cgroup_path,
                       .cgroup = target_.cgroup,
                       .key = key,
                       .earlier = entry.earlier,
                       .ours = entry.ours};
    if (entry.wanted) {
      std::erase_if(record.ours, [&](const SettingValue& v) { return v == value; });
      if (record.ours.size() >= kMaxPossibleValues) {
        // Never what the kernel has. Of calls that nobody answered the last to come is the newest.
        record.ours.erase(std::ranges::find_if(
            record.ours, [&](const SettingValue& v) { return v != entry.in_kernel; }));
      }
      record.ours.push_back(value);
    }
    if (!record.ours.empty()) {
      records.push_back(std::move(record));
    }
  }
  return ports_.journal->put(records);
}

void VmLimits::write(Batch batch) {
  batch_ = std::move(batch);
  if (const auto recorded = record(batch_); !recorded) {
    for (const auto& [key, value] : batch_.changes) {
      LimitEntry& entry = entries_.at(key);
      entry.fail_with(OutcomeState::kFailed, recorded.error().message, now_);
      entry.owned = ports_.journal->find(target_.vm, key) != nullptr;
    }
    settle(false);
    return;
  }
  for (const auto& [key, value] : batch_.changes) {
    LimitEntry& entry = entries_.at(key);
    if (const LeaseRecord* const recorded_now = ports_.journal->find(target_.vm, key)) {
      entry.ours = recorded_now->ours;
    }
    entry.confirmed = false;
    entry.stored = false;
  }
  apply();
}

void VmLimits::apply() {
  phase_ = Phase::kApplying;
  LeverTask task{target_, {}, io_max_};
  for (const auto& [key, value] : batch_.changes) {
    task.changes.push_back({key, value});
    LimitEntry& entry = entries_.at(key);
    entry.lever = batch_.lever->kind();
    entry.in_systemd |= entry.lever == LeverKind::kSystemd;
  }
  batch_.lever->apply(std::move(task), now_, [self = weak_from_this()](Result<> result) {
    if (const auto vm = self.lock()) {
      vm->on_applied(std::move(result));
    }
  });
}

// Releasing always may: a limit that stays is worse than a rule of ownership broken.
bool VmLimits::may_write_files() const {
  return options_.write_when_systemd_is_silent ||
         std::ranges::all_of(batch_.changes, [this](const auto& change) {
           return !entries_.at(change.first).wanted;
         });
}

void VmLimits::on_applied(Result<> result) {
  const bool by_systemd = batch_.lever->kind() == LeverKind::kSystemd;
  if (by_systemd) {
    for (const auto& [key, value] : batch_.changes) {
      entries_.at(key).stored = result.has_value();
    }
  }
  if (!result) {
    batch_.error += (batch_.error.empty() ? "" : "; ") + result.error().message;
    if (by_systemd && is_silence(result.error())) {
      if (!may_write_files()) {
        std::erase_if(batch_.changes, [this](const auto& change) {
          LimitEntry& entry = entries_.at(change.first);
          if (entry.wanted) {
            entry.fail_with(OutcomeState::kFailed, batch_.error, now_);
          }
          return entry.wanted.has_value();
        });
      }
      if (!batch_.changes.empty()) {
        batch_.lever = ports_.cgroupfs;
        apply();
        return;
      }
      settle(false);
      return;
    }
  }
  read(Phase::kVerifying);
}

void VmLimits::on_verified() {
  bool progress = true;
  for (const auto& [key, to] : batch_.changes) {
    const auto found = entries_.find(key);
    if (found == entries_.end() || !found->second.known) {
      progress = false;
      continue;
    }
    LimitEntry& entry = found->second;
    const std::uint32_t before = entry.failed_attempts;
    verify(entry, target_, to, batch_.error, now_);
    progress &= entry.failed_attempts <= before;
    if (!entry.owned) {
      ports_.journal->forget(target_.vm, key);
    }
  }
  settle(progress);
}

// Idle again. What is still due goes on at once after progress, else with the back-off.
void VmLimits::settle(bool progress) {
  phase_ = Phase::kIdle;
  batch_ = {};
  if (progress) {
    failures_ = 0;
    next_try_ = kAtOnce;
  } else {
    next_try_ = now_ + std::min(kFirstRetry * (1U << std::min(failures_, 6U)), kLastRetry);
    ++failures_;
  }
}

}  // namespace hvguard::enforce
