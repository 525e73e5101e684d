// ListLimits and ListDecisions (link/queries.h).
#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "link/paging.h"
#include "link/queries.h"

namespace hvguard::link {
namespace {

constexpr int kMaxFilterStates = 64;

std::vector<std::string> limit_key(const v1::Limit& limit) {
  return {limit.vm_name(),
          limit.vm_id(),
          fmt::format("{:04}", static_cast<int>(limit.kind())),
          fmt::format("{:010}:{:010}", limit.device().major(), limit.device().minor())};
}

// Newest first: numbers count down.
std::vector<std::string> decision_key(const v1::Decision& decision) {
  return {fmt::format("{:020}", std::numeric_limits<std::uint64_t>::max() - decision.sequence())};
}

Result<> check(const v1::LimitFilter& filter) {
  if (filter.states_size() > kMaxFilterStates) {
    return fail(Errc::kInvalid,
                fmt::format("filter.states has {} entries: at most {} are allowed",
                            filter.states_size(),
                            kMaxFilterStates));
  }
  for (const int state : filter.states()) {
    if (state == v1::Limit::STATE_UNSPECIFIED || !v1::Limit::State_IsValid(state)) {
      return fail(Errc::kInvalid,
                  fmt::format("filter.states has {}, which is no state of a limit", state));
    }
  }
  return check_text("filter.vm_id", filter.vm_id());
}

bool fits(const v1::LimitFilter& filter, const v1::Limit& limit) {
  const auto& states = filter.states();
  return (filter.vm_id().empty() || filter.vm_id() == limit.vm_id()) &&
         (states.empty() || std::ranges::count(states, limit.state()) > 0);
}

bool fits(const v1::DecisionFilter& filter, const v1::Decision& decision) {
  return (filter.vm_id().empty() || filter.vm_id() == decision.vm_id()) &&
         (filter.incident_id().empty() || filter.incident_id() == decision.incident_id());
}

}  // namespace

Result<v1::ListLimitsResponse> list_limits(const Mirror& mirror,
                                           const v1::ListLimitsRequest& request) {
  const auto& filter = request.filter();
  if (auto checked = check(filter); !checked) {
    return fail(std::move(checked.error()));
  }
  v1::ListLimitsResponse response;
  const auto next = fill_page(
      mirror.limits,
      question_of("ListLimits", filter),
      request.page_size(),
      request.page_token(),
      limit_key,
      [&](const v1::Limit& each) { return fits(filter, each); },
      [&](const v1::Limit& each) { return add_copy(*response.mutable_limits(), each); });
  if (!next) {
    return fail(next.error());
  }
  response.set_next_page_token(*next);
  *response.mutable_observe_time() = mirror.status.observe_time();
  return response;
}

Result<v1::ListDecisionsResponse> list_decisions(const Mirror& mirror,
                                                 const v1::ListDecisionsRequest& request) {
  const auto& filter = request.filter();
  for (const auto& [field, text] : {std::pair("filter.vm_id", &filter.vm_id()),
                                    std::pair("filter.incident_id", &filter.incident_id())}) {
    if (auto checked = check_text(field, *text); !checked) {
      return fail(std::move(checked.error()));
    }
  }
  v1::ListDecisionsResponse response;
  const auto next = fill_page(
      mirror.decisions,
      question_of("ListDecisions", filter),
      request.page_size(),
      request.page_token(),
      decision_key,
      [&](const v1::Decision& each) { return fits(filter, each); },
      [&](const v1::Decision& each) { return add_copy(*response.mutable_decisions(), each); });
  if (!next) {
    return fail(next.error());
  }
  response.set_next_page_token(*next);
  *response.mutable_observe_time() = mirror.status.observe_time();
  if (!mirror.decisions.empty()) {
    response.set_forgotten_count(mirror.decisions.back().sequence() - 1);
  }
  return response;
}

void add_answers_to(const Mirror& mirror,
                    const std::string& incident_id,
                    v1::GetIncidentResponse& response) {
  for (const v1::Decision& decision : mirror.decisions) {
    if (decision.incident_id() == incident_id) {
      *response.add_decisions() = decision;
    }
  }
  for (const v1::Limit& limit : mirror.limits) {
    if (limit.incident_id() == incident_id && response.limits_size() < kMaxIncidentLimits) {
      *response.add_limits() = limit;
    }
  }
}

}  // namespace hvguard::link
