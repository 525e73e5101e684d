#include "enforce/reconciler.h"

#include <utility>

namespace hvguard::enforce {
namespace {

using Wanted = std::map<SettingKey, WantedLimit>;

Outcome outcome_of(VmId vm, const LimitEntry& entry) {
  return {.key = {vm, entry.key.kind, entry.key.device},
          .state = entry.state,
          .lever = entry.lever,
          .wanted = entry.wanted ? entry.wanted->value : entry.earlier.value_or(0),
          .in_kernel = entry.in_kernel,
          .since = entry.since,
          .failed_attempts = entry.failed_attempts,
          .detail = entry.detail};
}

}  // namespace

void Reconciler::reconcile(const DesiredLimits& desired,
                           const std::vector<LimitTarget>& targets,
                           const LimitOptions& options,
                           BootTime now) {
  options_ = options;
  std::map<VmId, Wanted> wanted;
  for (const Limit& limit : desired) {
    if (limit.dry_run || releasing_) {
      continue;
    }
    Wanted& of_vm = wanted[limit.key.vm];
    if (of_vm.size() >= kMaxLimitsPerVm) {
      ++dropped_count_;
      continue;
    }
    of_vm[{limit.key.kind, limit.key.device}] = {limit.value, limit.origin};
  }
  std::map<VmId, const LimitTarget*> living;
  for (const LimitTarget& target : targets) {
    living[target.vm] = &target;
    const bool arm = options.arm_io && target.no_io_controller;
    if ((arm || wanted.contains(target.vm)) && !vms_.contains(target.vm)) {
      vms_[target.vm] = std::make_shared<VmLimits>(ports_, target);
    }
  }
  for (const auto& [id, vm] : vms_) {
    if (const auto alive = living.find(id); alive != living.end()) {
      vm->want(wanted[id], *alive->second, now);
    } else {
      vm->depart(now);
    }
  }
  drive(now);
  std::erase_if(
      vms_, [&](const auto& vm) { return vm.second->finished() && !living.contains(vm.first); });
}

void Reconciler::release_all(BootTime now) {
  releasing_ = true;
  for (const auto& [id, vm] : vms_) {
    vm->want({}, vm->target(), now);
  }
  options_.arm_io = false;
  drive(now);
}

void Reconciler::drive(BootTime now) {
  for (const auto& [id, vm] : vms_) {
    vm->drive(options_, now);
  }
  // What cannot be written now is with the next tick: a record too many is found and said.
  static_cast<void>(ports_.journal->flush());
}

bool Reconciler::idle() const {
  for (const auto& [id, vm] : vms_) {
    if (!vm->finished()) {
      return false;
    }
  }
  return true;
}

std::vector<Outcome> Reconciler::outcomes() const {
  std::vector<Outcome> all;
  for (const auto& [id, vm] : vms_) {
    for (const auto& [key, entry] : vm->entries()) {
      if (all.size() >= kMaxOutcomes) {
        ++dropped_count_;
        continue;
      }
      all.push_back(outcome_of(id, entry));
    }
  }
  return all;
}

}  // namespace hvguard::enforce
