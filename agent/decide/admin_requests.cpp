#include "decide/admin_requests.h"

#include <algorithm>

#include <fmt/format.h>

#include "decide/limit_words.h"

namespace hvguard {
namespace {

constexpr Nanoseconds kLeastLease = std::chrono::seconds(1);

const VmReading* find_vm(const Snapshot& snapshot, const VmId& id) {
  const auto at = std::find_if(
      snapshot.vms.begin(), snapshot.vms.end(), [&](const VmReading& vm) { return vm.id == id; });
  return at == snapshot.vms.end() ? nullptr : &*at;
}

const Incident* find_incident(const std::vector<Incident>& incidents, const std::string& id) {
  const auto at = std::find_if(incidents.begin(), incidents.end(), [&](const Incident& incident) {
    return incident.id == id;
  });
  return at == incidents.end() ? nullptr : &*at;
}

auto no_such_vm(const VmId& id) {
  return fail(
      Errc::kNotFound,
      fmt::format("no VM {} runs here; `hvguardctl vms` lists those that do", to_string(id)));
}

Result<> check_device(const Snapshot& snapshot, const LimitKey& key) {
  if (!is_per_device(key.kind)) {
    return {};
  }
  const auto at = std::find_if(
      snapshot.devices.begin(), snapshot.devices.end(), [&](const DeviceReading& device) {
        return device.id == key.device;
      });
  if (at == snapshot.devices.end()) {
    return fail(Errc::kNotFound,
                fmt::format("this host has no disk {}; `hvguardctl status` lists them, and a limit "
                            "holds on a whole disk only",
                            to_string(key.device)));
  }
  return {};
}

// Dynamic io limits below these make hung tasks (facts/limits.md B.5); decide/safety may want more.
Result<> check_floor(const SafetyConfig& safety, LimitKind kind, std::uint64_t value) {
  std::uint64_t floor = 1;
  std::string_view key;
  switch (kind) {
    case LimitKind::kReadBytes:
      floor = safety.min_read_bytes;
      key = "safety.min_read_bytes";
      break;
    case LimitKind::kReadOperations:
      floor = safety.min_read_operations;
      key = "safety.min_read_operations";
      break;
    case LimitKind::kWriteBytes:
      floor = safety.min_write_bytes;
      key = "safety.min_write_bytes";
      break;
    case LimitKind::kWriteOperations:
      floor = safety.min_write_operations;
      key = "safety.min_write_operations";
      break;
    default:
      break;
  }
  if (value >= floor) {
    return {};
  }
  if (key.empty()) {
    return fail(Errc::kInvalid, fmt::format("{} cannot be 0", to_string(kind)));
  }
  return fail(Errc::kInvalid,
              fmt::format("{} of {} is below this host's floor of {} ({})",
                          to_string(kind),
                          format_limit(kind, value),
                          format_limit(kind, floor),
                          key));
}

Result<> check_weight(LimitKind kind, std::uint64_t value) {
  const bool is_weight = kind == LimitKind::kIoWeight || kind == LimitKind::kCpuWeight;
  if (is_weight && (value < 1 || value > 10000)) {
    return fail(Errc::kInvalid, fmt::format("{} is 1 to 10000, not {}", to_string(kind), value));
  }
  return {};
}

Result<> check_lease(const SafetyConfig& safety, Nanoseconds lease) {
  if (lease >= kLeastLease && lease <= safety.max_lease) {
    return {};
  }
  return fail(Errc::kInvalid,
              fmt::format("a limit is set for {} to {} (safety.max_lease), not for {}",
                          format_duration(kLeastLease),
                          format_duration(safety.max_lease),
                          format_duration(lease)));
}

Result<AdminAnswer> judge(const AdminState& state,
                          const AdminContext& context,
                          const AdminRequest& request,
                          const SetLimitAction& action) {
  const SafetyConfig& safety = context.policy->safety;
  const VmReading* const vm = find_vm(*context.snapshot, action.key.vm);
  if (vm == nullptr) {
    return no_such_vm(action.key.vm);
  }
  for (const auto& checked : {check_device(*context.snapshot, action.key),
                              check_weight(action.key.kind, action.value),
                              check_floor(safety, action.key.kind, action.value),
                              check_lease(safety, action.lease)}) {
    if (!checked) {
      return fail(checked.error());
    }
  }
  if (!state.limits.contains(action.key) && state.limits.size() >= kMaxAdminLimits) {
    return fail(
        Errc::kExhausted,
        fmt::format("{} limits are set by request already; release some first", kMaxAdminLimits));
  }
  Limit limit;
  limit.key = action.key;
  limit.value = action.value;
  limit.origin = request.origin;
  limit.reason = fmt::format("{} ({})", request.reason, request.who);
  limit.expire_time = context.now + action.lease;
  AdminAnswer answer;
  answer.limits.push_back(std::move(limit));
  return answer;
}

Result<AdminAnswer> judge(const AdminState& state,
                          const AdminContext& context,
                          const AdminRequest& /*request*/,
                          const ReleaseLimitAction& action) {
  AdminAnswer answer;
  for (const auto& [key, limit] : state.limits) {
    if (key.vm == action.vm && (!action.key || key == *action.key)) {
      answer.limits.push_back(limit);
    }
  }
  if (answer.limits.empty() && find_vm(*context.snapshot, action.vm) == nullptr) {
    return no_such_vm(action.vm);
  }
  if (answer.limits.empty()) {
    return fail(Errc::kNotFound,
                "no such limit was set by request; those of classes and of guard rules follow the "
                "configuration: `hvguardctl limits` shows whose each one is");
  }
  return answer;
}

Result<AdminAnswer> judge(const AdminState& /*state*/,
                          const AdminContext& context,
                          const AdminRequest& request,
                          const SetModeAction& action) {
  if (request.origin == LimitOrigin::kControlPlane && action.mode &&
      *action.mode > context.policy->mode) {
    return fail(Errc::kDenied,
                fmt::format("this host allows no more than {} (policy.mode in hvguard.toml); only "
                            "an operator on the host can go beyond it",
                            to_string(context.policy->mode)));
  }
  AdminAnswer answer;
  answer.mode = action.mode.value_or(context.policy->mode);
  if (action.mode && *action.mode != context.policy->mode) {
    answer.note =
        fmt::format("until hvguardd starts again; the configuration says {} (policy.mode)",
                    to_string(context.policy->mode));
  }
  return answer;
}

Result<AdminAnswer> judge(const AdminState& /*state*/,
                          const AdminContext& /*context*/,
                          const AdminRequest& /*request*/,
                          const SetCordonAction& action) {
  AdminAnswer answer;
  answer.cordoned = action.cordoned;
  return answer;
}

Result<AdminAnswer> judge(const AdminState& /*state*/,
                          const AdminContext& context,
                          const AdminRequest& /*request*/,
                          const AcknowledgeIncidentAction& action) {
  const Incident* const incident = find_incident(*context.incidents, action.incident_id);
  if (incident == nullptr) {
    return fail(Errc::kNotFound,
                "no such incident is known, or it is forgotten by now; `hvguardctl incidents "
                "--all` lists those that are");
  }
  AdminAnswer answer;
  answer.incident = *incident;
  return answer;
}

Result<AdminAnswer> judge(const AdminState& /*state*/,
                          const AdminContext& /*context*/,
                          const AdminRequest& /*request*/,
                          const ReloadConfigAction& /*action*/) {
  return AdminAnswer();
}

}  // namespace

Result<AdminAnswer> judge_request(const AdminState& state,
                                  const AdminContext& context,
                                  const AdminRequest& request) {
  if (context.snapshot == nullptr) {
    return fail(Errc::kUnavailable, "hvguardd has not read the host yet; try again in a second");
  }
  return std::visit([&](const auto& action) { return judge(state, context, request, action); },
                    request.action);
}

void apply_request(AdminState& state, const AdminRequest& request, const AdminAnswer& answer) {
  if (std::holds_alternative<SetLimitAction>(request.action)) {
    for (const Limit& limit : answer.limits) {
      state.limits.insert_or_assign(limit.key, limit);
    }
  } else if (std::holds_alternative<ReleaseLimitAction>(request.action)) {
    for (const Limit& limit : answer.limits) {
      state.limits.erase(limit.key);
    }
  } else if (const auto* const mode = std::get_if<SetModeAction>(&request.action)) {
    state.mode = mode->mode;
  } else if (const auto* const cordon = std::get_if<SetCordonAction>(&request.action)) {
    state.cordon = cordon->cordoned ? std::optional(request.reason) : std::nullopt;
  }
  state.answered.emplace_back(request.request_id, answer);
  if (state.answered.size() > kRememberedRequests) {
    state.answered.pop_front();
  }
}

const AdminAnswer* answered_before(const AdminState& state, const AdminRequest& request) {
  const auto at =
      std::find_if(state.answered.begin(), state.answered.end(), [&](const auto& entry) {
        return entry.first == request.request_id;
      });
  return at == state.answered.end() ? nullptr : &at->second;
}

void expire(AdminState& state, const AdminContext& context) {
  std::erase_if(state.limits, [&](const auto& entry) {
    const Limit& limit = entry.second;
    return context.now >= limit.expire_time.value_or(context.now) ||
           (context.snapshot != nullptr && find_vm(*context.snapshot, limit.key.vm) == nullptr);
  });
}

}  // namespace hvguard
