// Audit records of decisions and of what people ask (publish/journal.h).
#include <string>
#include <variant>

#include <fmt/format.h>

#include "publish/journal.h"

namespace hvguard::publish {
namespace {

std::string setting(LimitKind kind, const std::optional<DeviceId>& device) {
  return device ? fmt::format("{} on {}", to_string(kind), to_string(*device))
                : std::string(to_string(kind));
}

std::string setting(const LimitKey& key) {
  return setting(key.kind, is_per_device(key.kind) ? std::optional(key.device) : std::nullopt);
}

// "set io.max rbps on 8:0 to 41943040 of VM web01"
std::string choice(const Decision& decision, std::string_view vm_name) {
  std::string text =
      fmt::format("{}{}", decision.dry_run ? "dry run: " : "", to_string(decision.step));
  if (decision.kind) {
    text += " " + setting(*decision.kind, decision.device);
  } else if (decision.device) {
    text += " on " + to_string(*decision.device);
  }
  if (decision.value) {
    text += fmt::format(" to {}", *decision.value);
  }
  if (decision.vm) {
    text += fmt::format(" of VM {}", vm_name.empty() ? to_string(*decision.vm) : vm_name);
  }
  return text;
}

Priority priority_of(DecisionStep step) {
  switch (step) {
    case DecisionStep::kRefused:
    case DecisionStep::kIneffective:
    case DecisionStep::kNoLever:
      return Priority::kWarning;
    case DecisionStep::kSet:
    case DecisionStep::kTightened:
    case DecisionStep::kLoosened:
    case DecisionStep::kRemoved:
      break;
  }
  return Priority::kNotice;
}

// What was asked for, in words.
struct Asked {
  std::string operator()(const SetLimitAction& action) const {
    return fmt::format("set {} to {} of VM {} for {}",
                       setting(action.key),
                       action.value,
                       to_string(action.key.vm),
                       format_duration(action.lease));
  }
  std::string operator()(const ReleaseLimitAction& action) const {
    return fmt::format("release {} of VM {}",
                       action.key ? setting(*action.key) : "all limits",
                       to_string(action.vm));
  }
  std::string operator()(const SetModeAction& action) const {
    return fmt::format("set mode {}", action.mode ? to_string(*action.mode) : "as configured");
  }
  std::string operator()(const SetCordonAction& action) const {
    return action.cordoned ? "cordon the host" : "uncordon the host";
  }
  std::string operator()(const AcknowledgeIncidentAction& action) const {
    return "acknowledge incident " + action.incident_id;
  }
  std::string operator()(const ReloadConfigAction& /*action*/) const {
    return "reload the configuration";
  }
};

}  // namespace

AuditRecord audit_record(const Decision& decision, std::string_view vm_name) {
  AuditRecord record;
  record.kind = AuditKind::kDecision;
  record.priority = priority_of(decision.step);
  record.message = fmt::format("{}: {}", choice(decision, vm_name), decision.reason);
  record.fields = {{"HVGUARD_DECISION", std::string(to_string(decision.step))},
                   {"HVGUARD_DRY_RUN", decision.dry_run ? "1" : "0"},
                   {"HVGUARD_REASON", decision.reason}};
  if (decision.vm) {
    record.fields.emplace_back("HVGUARD_VM", to_string(*decision.vm));
  }
  if (decision.kind) {
    record.fields.emplace_back("HVGUARD_LIMIT", std::string(to_string(*decision.kind)));
  }
  if (decision.device) {
    record.fields.emplace_back("HVGUARD_DEVICE", to_string(*decision.device));
  }
  if (decision.value) {
    record.fields.emplace_back("HVGUARD_VALUE", std::to_string(*decision.value));
  }
  if (!decision.incident_id.empty()) {
    record.fields.emplace_back("HVGUARD_INCIDENT", decision.incident_id);
  }
  return record;
}

AuditRecord audit_record(const AdminRequest& request, const Result<AdminAnswer>& answer) {
  AuditRecord record;
  record.kind = answer ? AuditKind::kAdminDone : AuditKind::kAdminRefused;
  record.priority = answer ? Priority::kNotice : Priority::kWarning;
  const std::string asked = std::visit(Asked{}, request.action);
  record.message = fmt::format(
      "{} asked to {}{} ({}): {}",
      request.who,
      asked,
      request.validate_only ? ", only to validate it" : "",
      request.reason,
      answer ? answer->note.empty() ? "done" : answer->note : "refused: " + answer.error().message);
  record.fields = {{"HVGUARD_WHO", request.who},
                   {"HVGUARD_WHAT", asked},
                   {"HVGUARD_REASON", request.reason},
                   {"HVGUARD_REQUEST_ID", request.request_id},
                   {"HVGUARD_ORIGIN", std::string(to_string(request.origin))},
                   {"HVGUARD_VALIDATE_ONLY", request.validate_only ? "1" : "0"}};
  if (!answer) {
    record.fields.emplace_back("HVGUARD_ERROR", std::string(to_string(answer.error().code)));
  }
  return record;
}

}  // namespace hvguard::publish
