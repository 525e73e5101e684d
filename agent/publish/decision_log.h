// DecisionLog: the last decisions of policy, as published: what `hvguardctl why` tells the story
// from. Kept in memory only; the journal has them all. Loop thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "hvguard/v1/limit.pb.h"
#include "model/limit.h"
#include "publish/to_proto_limit.h"

namespace hvguard::publish {

// The oldest go first; Decision.sequence shows how many went.
inline constexpr std::size_t kMaxDecisions = 256;

class DecisionLog {
 public:
  // True if it is new. A decision that is the same as the last one about this setting and incident
  // is only counted there: a rule that is refused every second must not push out all others.
  bool add(const Decision& decision, const Labels& labels, const ClockPair& clocks);

  // Oldest first.
  [[nodiscard]] const std::deque<v1::Decision>& decisions() const { return decisions_; }

 private:
  using Subject = std::
      tuple<std::optional<VmId>, std::optional<LimitKind>, std::optional<DeviceId>, std::string>;

  void forget_oldest();

  std::deque<v1::Decision> decisions_;
  std::deque<Subject> subjects_;                    // of decisions_, one for one
  std::map<Subject, std::uint64_t> last_sequence_;  // only of those in decisions_
  std::uint64_t next_sequence_ = 1;
};

}  // namespace hvguard::publish
