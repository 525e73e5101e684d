#include "decide/safety.h"

#include <algorithm>
#include <tuple>

#include "decide/blast_radius.h"
#include "decide/loosening.h"
#include "decide/safety_rules.h"
#include "decide/safety_words.h"

namespace hvguard {
namespace {

// An objection, and the wish as it was when it was met.
struct Note {
  Objection objection;
  Wish wish;
  bool told = false;  // in a change, in this tick

  [[nodiscard]] auto order() const {
    return std::tie(wish.key(), objection.obstacle, wish.asked->origin);
  }
};

void update_stopping(SafetyState& state, const SafetyInput& input) {
  state.stopping.insert(input.stopping_vms.begin(), input.stopping_vms.end());
  if (state.stopping.empty() || input.snapshot == nullptr) {
    return;
  }
  std::set<VmId> living;
  for (const VmReading& vm : input.snapshot->vms) {
    living.insert(vm.id);
  }
  std::erase_if(state.stopping, [&](const VmId& id) {
    return !living.contains(id) && !input.stopping_vms.contains(id);
  });
}

// One tick of safety.
class Judge {
 public:
  Judge(const SafetyConfig& config, SafetyState& state, const SafetyInput& input)
      : state_(state),
        world_(config, state, input),
        budget_(config, state.tightenings, input.now) {}

  SafeLimits judge() {
    update_loosened(world_, state_);
    ask_rules();
    keep_radius();
    keep_budget();
    give_out();
    tell_refusals();
    return std::move(out_);
  }

 private:
  using Place = std::vector<Wish>::iterator;

  // False: refused.
  bool apply(const Objection& objection, Wish& wish) {
    if (objection.effect == Effect::kNothingNew && !wish.is_tightening()) {
      return true;
    }
    notes_.push_back({.objection = objection, .wish = wish});
    if (objection.effect == Effect::kRaise) {
      wish.value = objection.at_least;
      return true;
    }
    // What another holds is held by that one's wish: this one would keep it beyond its lease.
    if (objection.effect == Effect::kRefuse || wish.held == nullptr ||
        wish.held->origin != wish.asked->origin ||
        wish.held->incident_id != wish.asked->incident_id) {
      return false;
    }
    wish.value = wish.held->value;
    return true;
  }

  bool passes_rules(Wish& wish) {
    for (const SafetyRule rule : safety_rules()) {
      const auto objection = rule(world_, wish);
      if (objection && !apply(*objection, wish)) {
        return false;
      }
    }
    return true;
  }

  void ask_rules() {
    wishes_.reserve(world_.input().wanted.size());
    for (const Limit& wanted : world_.input().wanted) {
      Wish wish = world_.wish(wanted);
      if (passes_rules(wish)) {
        wishes_.push_back(wish);
      }
    }
    sort_wishes();
  }

  // The first one of each key is the one to be set: what is real before what is only said, the
  // tightest before the others, and the rest so that the order of the input does not matter.
  void sort_wishes() {
    const auto before = [](const Wish& a, const Wish& b) {
      if (a.key() != b.key()) {
        return a.key() < b.key();
      }
      if (a.asked->dry_run != b.asked->dry_run) {
        return b.asked->dry_run;
      }
      if (a.value != b.value) {
        return is_tighter(a.kind(), a.value, b.value);
      }
      return std::tie(a.asked->origin, b.expire_time, a.asked->incident_id, a.asked->reason) <
             std::tie(b.asked->origin, a.expire_time, b.asked->incident_id, b.asked->reason);
    };
    if (!std::is_sorted(wishes_.begin(), wishes_.end(), before)) {
      std::sort(wishes_.begin(), wishes_.end(), before);
    }
  }

  [[nodiscard]] Place end_of_key(Place at) {
    const LimitKey& key = at->key();
    return std::find_if(at, wishes_.end(), [&](const Wish& wish) { return wish.key() != key; });
  }

  void keep_radius() {
    std::map<VmId, bool> by_people;
    for (Place at = wishes_.begin(); at != wishes_.end(); at = end_of_key(at)) {
      if (at->is_dynamic()) {
        by_people[at->key().vm] |= at->asked->origin != LimitOrigin::kGuardRule;
      }
    }
    std::vector<LimitedVmWish> limited;
    limited.reserve(by_people.size());
    for (const auto& [vm, people] : by_people) {
      limited.push_back({.vm = vm, .by_people = people});
    }
    order_ = by_precedence(std::move(limited), state_.limited_since, world_.input().facts);
    std::size_t most = max_limited_vms(world_.config(), world_.vm_count());
    if (world_.input().snapshot == nullptr) {
      most = state_.limited_since.size();  // nothing is known of their number: nothing new
    }
    if (order_.size() <= most) {
      return;
    }
    const std::set<VmId> left_out(order_.begin() + static_cast<std::ptrdiff_t>(most), order_.end());
    order_.resize(most);
    std::erase_if(wishes_, [&](Wish& wish) {
      return wish.is_dynamic() && left_out.contains(wish.key().vm) &&
             !apply({.obstacle = Obstacle::kTooManyVms, .effect = Effect::kRefuse}, wish);
    });
  }

  void keep_budget() {
    std::map<VmId, std::vector<Place>> keys_of;
    for (Place at = wishes_.begin(); at != wishes_.end(); at = end_of_key(at)) {
      if (at->is_dynamic() && at->is_tightening()) {
        keys_of[at->key().vm].push_back(at);
      }
    }
    if (keys_of.empty()) {
      return;
    }
    std::set<const Wish*> refused;
    for (const VmId& vm : order_) {
      for (const Place first : keys_of[vm]) {
        const Place end = end_of_key(first);
        for (Place at = first; at != end && at->is_dynamic() && at->is_tightening(); ++at) {
          if (budget_.take(at->key())) {
            break;
          }
          if (!apply({.obstacle = Obstacle::kTooManyChanges, .effect = Effect::kNothingNew}, *at)) {
            refused.insert(&*at);
          }
        }
      }
    }
    std::vector<Wish> kept;
    kept.reserve(wishes_.size());
    for (const Wish& wish : wishes_) {
      if (!refused.contains(&wish)) {
        kept.push_back(wish);
      }
    }
    wishes_ = std::move(kept);
    sort_wishes();
  }

  void give_out() {
    std::sort(notes_.begin(), notes_.end(), [](const Note& a, const Note& b) {
      return a.order() < b.order();
    });
    std::vector<HeldLimit> now_held;
    std::map<VmId, BootTime> limited_since;
    auto old = state_.held.begin();
    for (Place at = wishes_.begin(); at != wishes_.end(); at = end_of_key(at)) {
      for (; old != state_.held.end() && old->key < at->key(); ++old) {
        tell_removed(*old);
      }
      if (old != state_.held.end() && old->key == at->key()) {
        tell_changed(*old, *at);
        ++old;
      } else {
        tell(DecisionStep::kSet, *at, reason_of(*at->asked));
      }
      Limit& limit = out_.limits.emplace_back(*at->asked);
      limit.value = at->value;
      limit.expire_time = at->expire_time;
      now_held.push_back({.key = limit.key,
                          .value = limit.value,
                          .origin = limit.origin,
                          .dry_run = limit.dry_run,
                          .expire_time = limit.expire_time,
                          .incident_id = limit.incident_id});
      if (at->is_dynamic()) {
        const auto since = state_.limited_since.find(limit.key.vm);
        limited_since.emplace(
            limit.key.vm, since == state_.limited_since.end() ? world_.input().now : since->second);
      }
    }
    for (; old != state_.held.end(); ++old) {
      tell_removed(*old);
    }
    state_.held = std::move(now_held);
    state_.limited_since = std::move(limited_since);
  }

  // What was met on the way of the limit that held, or of the one that takes its place.
  Note* note_of(const HeldLimit& old) {
    const auto first = std::lower_bound(
        notes_.begin(), notes_.end(), old.key, [](const Note& note, const LimitKey& key) {
          return note.wish.key() < key;
        });
    for (auto at = first; at != notes_.end() && at->wish.key() == old.key; ++at) {
      if (at->objection.effect != Effect::kNothingNew && at->wish.asked->origin == old.origin &&
          at->wish.asked->dry_run == old.dry_run) {
        return &*at;
      }
    }
    return nullptr;
  }

  std::string told(Note& note) {
    note.told = true;
    return explain(world_, note.objection, note.wish);
  }

  void tell(DecisionStep step, const Wish& wish, std::string reason) {
    const LimitKey& key = wish.key();
    out_.decisions.push_back(
        {.step = step,
         .time = world_.input().now,
         .vm = key.vm,
         .kind = key.kind,
         .device = is_per_device(key.kind) ? std::optional(key.device) : std::nullopt,
         .value = wish.value,
         .dry_run = wish.asked->dry_run,
         .reason = std::move(reason),
         .incident_id = wish.asked->incident_id});
  }

  void tell_removed(const HeldLimit& old) {
    std::string reason = "nobody wants it any more";
    if (Note* const note = note_of(old)) {
      reason = told(*note);
    } else if (world_.is_stopping(old.key.vm)) {
      reason = "the VM begins to stop";
    } else if (world_.input().snapshot != nullptr && world_.vm(old.key.vm) == nullptr) {
      reason = "the VM is gone";
    }
    out_.decisions.push_back(
        {.step = DecisionStep::kRemoved,
         .time = world_.input().now,
         .vm = old.key.vm,
         .kind = old.key.kind,
         .device = is_per_device(old.key.kind) ? std::optional(old.key.device) : std::nullopt,
         .value = std::nullopt,
         .dry_run = old.dry_run,
         .reason = std::move(reason),
         .incident_id = old.incident_id});
  }

  void tell_changed(const HeldLimit& old, const Wish& wish) {
    if (old.dry_run != wish.asked->dry_run) {
      tell_removed(old);
      tell(DecisionStep::kSet, wish, reason_of(*wish.asked));
    } else if (is_tighter(wish.kind(), wish.value, old.value)) {
      tell(DecisionStep::kTightened, wish, reason_of(*wish.asked));
    } else if (wish.value != old.value) {
      Note* const note = note_of(old);
      tell(DecisionStep::kLoosened, wish, note != nullptr ? told(*note) : reason_of(*wish.asked));
    }
  }

  void tell_refusals() {
    const BootTime now = world_.input().now;
    std::erase_if(state_.refused,
                  [&](const auto& entry) { return now - entry.second >= kRefusalForgottenAfter; });
    std::size_t said = 0;
    for (Note& note : notes_) {
      const std::pair key(note.wish.key(), note.objection.obstacle);
      const auto known = state_.refused.find(key);
      if (known != state_.refused.end()) {
        known->second = now;
        continue;
      }
      if (!note.told) {
        if (said == kMaxRefusalsPerTick) {
          continue;  // not said, so it will be
        }
        ++said;
        Wish asked = note.wish;
        asked.value = asked.asked->value;
        tell(DecisionStep::kRefused, asked, told(note));
      }
      state_.refused.emplace(key, now);
    }
  }

  SafetyState& state_;
  SafetyWorld world_;
  ChangeBudget budget_;
  std::vector<Wish> wishes_;
  std::vector<Note> notes_;
  std::vector<VmId> order_;  // VMs with a place, by precedence
  SafeLimits out_;
};

}  // namespace

SafeLimits make_safe(const SafetyConfig& config, SafetyState& state, const SafetyInput& input) {
  update_stopping(state, input);
  return Judge(config, state, input).judge();
}

}  // namespace hvguard
