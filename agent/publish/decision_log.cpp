#include "publish/decision_log.h"

namespace hvguard::publish {
namespace {

bool same_choice(const v1::Decision& a, const v1::Decision& b) {
  return a.step() == b.step() && a.dry_run() == b.dry_run() && a.has_value() == b.has_value() &&
         a.value() == b.value();
}

}  // namespace

bool DecisionLog::add(const Decision& decision, const Labels& labels, const ClockPair& clocks) {
  Subject subject{decision.vm, decision.kind, decision.device, decision.incident_id};
  v1::Decision entry = to_proto(decision, next_sequence_, labels, clocks);
  if (const auto last = last_sequence_.find(subject); last != last_sequence_.end()) {
    v1::Decision& known = decisions_.at(last->second - decisions_.front().sequence());
    if (same_choice(known, entry)) {
      known.set_repeat_count(known.repeat_count() + 1);
      return false;
    }
  }
  last_sequence_[subject] = next_sequence_++;
  decisions_.push_back(std::move(entry));
  subjects_.push_back(std::move(subject));
  if (decisions_.size() > kMaxDecisions) {
    forget_oldest();
  }
  return true;
}

void DecisionLog::forget_oldest() {
  const auto last = last_sequence_.find(subjects_.front());
  if (last->second == decisions_.front().sequence()) {
    last_sequence_.erase(last);
  }
  decisions_.pop_front();
  subjects_.pop_front();
}

}  // namespace hvguard::publish
