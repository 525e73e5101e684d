#include "publish/admin_request.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "publish/to_proto_limit.h"

namespace hvguard::publish {
namespace {

constexpr std::size_t kMaxIncidentIdBytes = 128;
constexpr std::size_t kMaxShownBytes = 64;
constexpr std::int64_t kNanosPerSecond = 1'000'000'000;
// Far beyond any lease that a configuration allows, and no overflow in nanoseconds.
constexpr std::int64_t kMaxLeaseSeconds = 366LL * 86'400;
// Ranges of the kernel's own files (block/blk-iocost.c, kernel/sched/core.c).
constexpr std::uint64_t kMinWeight = 1;
constexpr std::uint64_t kMaxWeight = 10'000;

bool is_id_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
         c == '_' || c == '-';
}

bool is_id(std::string_view text, std::size_t max_bytes) {
  return !text.empty() && text.size() <= max_bytes && std::ranges::all_of(text, is_id_character);
}

// What all requests have in common.
template <class Request>
Result<AdminRequest> common_part(const Request& request, std::string who) {
  if (!is_id(request.request_id(), kMaxRequestIdBytes)) {
    return fail(Errc::kInvalid,
                fmt::format("request_id must be 1 to {} letters, digits, '.', '_' or '-', new for "
                            "each request: a UUID fits",
                            kMaxRequestIdBytes));
  }
  if (request.reason().empty() || request.reason().size() > kMaxAdminReasonBytes) {
    return fail(Errc::kInvalid,
                fmt::format("reason must have 1 to {} bytes: say why, for the audit log",
                            kMaxAdminReasonBytes));
  }
  AdminRequest out;
  out.request_id = request.request_id();
  out.who = std::move(who);
  out.reason = safe_text(request.reason(), kMaxAdminReasonBytes);
  out.origin = LimitOrigin::kOperator;
  out.validate_only = request.validate_only();
  return out;
}

Result<VmId> vm_of(const std::string& vm_id) {
  auto vm = parse_vm_id(vm_id);
  if (!vm) {
    return fail(Errc::kInvalid,
                fmt::format("vm_id '{}' is not one: `hvguardctl vm NAME` shows it",
                            safe_text(vm_id, kMaxShownBytes)));
  }
  return vm;
}

Result<LimitKind> kind_of(v1::Limit::Kind kind) {
  if (const auto known = limit_kind_from_proto(kind)) {
    return *known;
  }
  return fail(
      Errc::kInvalid,
      fmt::format("kind is {}, which is no limit that is known here", static_cast<int>(kind)));
}

// The request's device and the kind must go together.
template <class Request>
Result<LimitKey> key_of(const Request& request) {
  const auto vm = vm_of(request.vm_id());
  if (!vm) {
    return fail(vm.error());
  }
  const auto kind = kind_of(request.kind());
  if (!kind) {
    return fail(kind.error());
  }
  const v1::Device& device = request.device();
  const bool has_device = device.major() != 0 || device.minor() != 0;
  if (is_per_device(*kind) != has_device) {
    return fail(Errc::kInvalid,
                has_device ? fmt::format("{} is not per device: leave device out", to_string(*kind))
                           : fmt::format("{} is per device: give device with its major and minor "
                                         "number",
                                         to_string(*kind)));
  }
  return LimitKey{*vm, *kind, DeviceId{device.major(), device.minor()}};
}

Result<> check_value(LimitKind kind, std::uint64_t value) {
  switch (kind) {
    case LimitKind::kIoWeight:
    case LimitKind::kCpuWeight:
      if (value < kMinWeight || value > kMaxWeight) {
        return fail(
            Errc::kInvalid,
            fmt::format("{} is {} to {}, not {}", to_string(kind), kMinWeight, kMaxWeight, value));
      }
      return {};
    case LimitKind::kMemoryLow:
    case LimitKind::kSwapMax:
      break;  // 0 makes sense: no protection, no swap
    default:
      if (value == 0) {
        return fail(Errc::kInvalid, fmt::format("{} of 0 would stop the VM", to_string(kind)));
      }
  }
  // The kernel counts bytes in signed 64 bits.
  if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return fail(Errc::kInvalid,
                fmt::format("{} of {} is no limit: release it instead", to_string(kind), value));
  }
  return {};
}

Result<Nanoseconds> lease_of(const v1::SetLimitRequest& request) {
  const auto& lease = request.lease_duration();
  const bool ordered = lease.seconds() >= 0 && lease.seconds() <= kMaxLeaseSeconds &&
                       lease.nanos() >= 0 && lease.nanos() < kNanosPerSecond;
  if (!ordered || (lease.seconds() == 0 && lease.nanos() == 0)) {
    return fail(Errc::kInvalid,
                fmt::format("lease_duration must be more than 0 and at most {} days: a limit that "
                            "nobody renews must end",
                            kMaxLeaseSeconds / 86'400));
  }
  return Nanoseconds(lease.seconds() * kNanosPerSecond + lease.nanos());
}

Result<AdminAction> action_of(const v1::SetLimitRequest& request) {
  const auto key = key_of(request);
  if (!key) {
    return fail(key.error());
  }
  if (!request.has_value()) {
    return fail(Errc::kInvalid, "value is missing: ReleaseLimit takes a limit back");
  }
  if (auto checked = check_value(key->kind, request.value()); !checked) {
    return fail(std::move(checked).error());
  }
  const auto lease = lease_of(request);
  if (!lease) {
    return fail(lease.error());
  }
  return AdminAction(SetLimitAction{.key = *key, .value = request.value(), .lease = *lease});
}

Result<AdminAction> action_of(const v1::ReleaseLimitRequest& request) {
  if (request.kind() == v1::Limit::KIND_UNSPECIFIED) {
    if (request.has_device()) {
      return fail(Errc::kInvalid, "device without kind: give kind too, or neither for all limits");
    }
    const auto vm = vm_of(request.vm_id());
    if (!vm) {
      return fail(vm.error());
    }
    return AdminAction(ReleaseLimitAction{.vm = *vm, .key = std::nullopt});
  }
  const auto key = key_of(request);
  if (!key) {
    return fail(key.error());
  }
  return AdminAction(ReleaseLimitAction{.vm = key->vm, .key = *key});
}

Result<AdminAction> action_of(const v1::SetModeRequest& request) {
  const auto mode = limit_mode_from_proto(request.mode());
  const bool unset = request.mode() == v1::AgentStatus::MODE_UNSPECIFIED;
  if (request.as_configured() ? !unset : !mode) {
    return fail(Errc::kInvalid,
                "give either mode, which is observe, dry run or enforce, or as_configured");
  }
  return AdminAction(SetModeAction{.mode = mode});
}

Result<AdminAction> action_of(const v1::SetCordonRequest& request) {
  if (!request.has_cordoned()) {
    return fail(Errc::kInvalid, "cordoned is missing: true closes the host, false opens it");
  }
  return AdminAction(SetCordonAction{.cordoned = request.cordoned()});
}

Result<AdminAction> action_of(const v1::AcknowledgeIncidentRequest& request) {
  if (!is_id(request.incident_id(), kMaxIncidentIdBytes)) {
    return fail(Errc::kInvalid,
                "incident_id is not one: `hvguardctl incidents` lists those there are");
  }
  return AdminAction(AcknowledgeIncidentAction{.incident_id = request.incident_id()});
}

Result<AdminAction> action_of(const v1::ReloadConfigRequest& /*request*/) {
  return AdminAction(ReloadConfigAction{});
}

template <class Request>
Result<AdminRequest> whole(const Request& request, std::string who) {
  auto out = common_part(request, std::move(who));
  if (!out) {
    return out;
  }
  auto action = action_of(request);
  if (!action) {
    return fail(std::move(action).error());
  }
  out->action = *std::move(action);
  return out;
}

// "uid 0, pid 4711" or, through the gateway, "uid 0, pid 4711, by uid 998, pid 812".
Result<std::string> who_asks(const v1::AdminCall& call, std::string_view client) {
  if (!call.has_caller()) {
    return std::string(client);
  }
  const v1::AdminCaller& caller = call.caller();
  if (caller.pids_size() > kMaxCallerPids) {
    return fail(Errc::kInvalid, fmt::format("a caller has at most {} pids", kMaxCallerPids));
  }
  std::string pids;
  for (const std::uint32_t pid : caller.pids()) {
    pids += fmt::format("{}{}", pids.empty() ? "" : " or ", pid);
  }
  return fmt::format(
      "uid {}, pid {}, by {}", caller.uid(), pids.empty() ? "not known" : pids, client);
}

}  // namespace

Result<AdminRequest> admin_request_from_proto(const v1::AdminCall& call, std::string_view client) {
  auto who = who_asks(call, client);
  if (!who) {
    return fail(std::move(who).error());
  }
  switch (call.kind_case()) {
    case v1::AdminCall::kSetLimit:
      return whole(call.set_limit(), *std::move(who));
    case v1::AdminCall::kReleaseLimit:
      return whole(call.release_limit(), *std::move(who));
    case v1::AdminCall::kSetMode:
      return whole(call.set_mode(), *std::move(who));
    case v1::AdminCall::kSetCordon:
      return whole(call.set_cordon(), *std::move(who));
    case v1::AdminCall::kAcknowledgeIncident:
      return whole(call.acknowledge_incident(), *std::move(who));
    case v1::AdminCall::kReloadConfig:
      return whole(call.reload_config(), *std::move(who));
    case v1::AdminCall::KIND_NOT_SET:
      break;
  }
  return fail(Errc::kUnsupported,
              "the request asks for nothing that is known here: gateway, ctl and hvguardd must be "
              "of the same package");
}

}  // namespace hvguard::publish
