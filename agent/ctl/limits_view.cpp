#include <string>

#include <fmt/format.h>

#include "ctl/format.h"
#include "ctl/limit_words.h"
#include "ctl/views.h"

namespace hvguard::ctl {
namespace {

Tone tone_of(v1::Limit::State state) {
  switch (state) {
    case v1::Limit::STATE_IN_FORCE:
      return Tone::kGood;
    case v1::Limit::STATE_DRY_RUN:
    case v1::Limit::STATE_RELEASED:
      return Tone::kDim;
    case v1::Limit::STATE_DIFFERS:
    case v1::Limit::STATE_FOREIGN:
      return Tone::kWarning;
    case v1::Limit::STATE_FAILED:
      return Tone::kBad;
    default:
      return Tone::kPlain;
  }
}

std::string vm_text(const v1::Limit& limit) {
  return printable(limit.vm_name().empty() ? limit.vm_id() : limit.vm_name());
}

std::string origin_text(const v1::Limit& limit) {
  return limit.origin() == v1::Limit::ORIGIN_UNSPECIFIED
             ? std::string(kUnknown)
             : enum_text(v1::Limit::Origin_Name(limit.origin()), "ORIGIN_");
}

}  // namespace

std::string limit_state_text(v1::Limit::State state) {
  return enum_text(v1::Limit::State_Name(state), "STATE_");
}

std::string limits_view(const google::protobuf::RepeatedPtrField<v1::Limit>& limits,
                        const Style& style) {
  if (limits.empty()) {
    return "no limits\n";
  }
  Table table({{"VM", false, true},
               {"SETTING"},
               {"DEVICE"},
               {"LIMIT", true},
               {"IN FORCE", true},
               {"ORIGIN"},
               {"UNTIL"},
               {"STATE"}});
  std::string details;
  for (const v1::Limit& limit : limits) {
    table.add(
        {{vm_text(limit)},
         {setting_text(limit.kind())},
         {limit.has_device() ? device_text(limit.device()) : std::string(kUnknown)},
         {limit_value_text(limit.kind(),
                           optional_of(limit, &v1::Limit::has_value, &v1::Limit::value))},
         {limit_value_text(
             limit.kind(),
             optional_of(limit, &v1::Limit::has_in_kernel_value, &v1::Limit::in_kernel_value))},
         {origin_text(limit)},
         {limit.has_expire_time() ? clock_text(limit.expire_time()) : std::string(kUnknown)},
         {limit_state_text(limit.state()), tone_of(limit.state())}});
    if (!limit.detail().empty()) {
      details += fmt::format(
          "{}: {}: {}\n", vm_text(limit), setting_text(limit), printable(limit.detail()));
    }
  }
  return table.render(style) + (details.empty() ? "" : "\n" + details);
}

std::string admin_view(const v1::AdminReply& reply, bool validate_only, const Style& style) {
  const std::string would = validate_only ? "valid, nothing was changed; it would be: " : "";
  const auto with_note = [](const std::string& text, const std::string& note) {
    return text + "\n" + (note.empty() ? "" : printable(note) + "\n");
  };
  switch (reply.kind_case()) {
    case v1::AdminReply::kSetLimit: {
      const v1::Limit& limit = reply.set_limit().limit();
      std::string text = fmt::format(
          "{}{} of VM {} to {}",
          would,
          setting_text(limit),
          vm_text(limit),
          limit_value_text(limit.kind(),
                           optional_of(limit, &v1::Limit::has_value, &v1::Limit::value)));
      if (limit.has_expire_time()) {
        text += fmt::format(" until {}", time_text(limit.expire_time()));
      }
      text += limit.dry_run() ? ", only said: the mode is dry_run" : "";
      return with_note(text, reply.set_limit().note());
    }
    case v1::AdminReply::kReleaseLimit: {
      const auto& answer = reply.release_limit();
      std::string text = answer.limit_count() == 1
                             ? would + "1 limit goes"
                             : fmt::format("{}{} limits go", would, answer.limit_count());
      if (!answer.limits().empty()) {
        text += "\n" + limits_view(answer.limits(), style);
        text.pop_back();
      }
      return with_note(text, answer.note());
    }
    case v1::AdminReply::kSetMode:
      return with_note(would + "mode " + mode_text(reply.set_mode().mode()),
                       reply.set_mode().note());
    case v1::AdminReply::kSetCordon:
      return with_note(
          would + (reply.set_cordon().cordoned() ? "closed for new VMs" : "open for new VMs"),
          reply.set_cordon().note());
    case v1::AdminReply::kAcknowledgeIncident: {
      const auto& answer = reply.acknowledge_incident();
      return with_note(fmt::format("{}acknowledged {}: {}",
                                   would,
                                   printable(answer.incident().incident_id()),
                                   printable(answer.incident().summary())),
                       answer.note());
    }
    case v1::AdminReply::kReloadConfig:
      return with_note(validate_only ? "valid, nothing was changed" : "configuration reloaded",
                       reply.reload_config().note());
    case v1::AdminReply::kError:
    case v1::AdminReply::KIND_NOT_SET:
      break;
  }
  return {};
}

std::string mode_text(v1::AgentStatus::Mode mode) {
  return enum_text(v1::AgentStatus::Mode_Name(mode), "MODE_");
}

std::string mode_view(const v1::Status& status) {
  const v1::StatusCounts& counts = status.counts();
  return fmt::format("mode {}: {} limits in force, {} only said, {} failed\n",
                     mode_text(status.agent().mode()),
                     counts.limit_in_force_count(),
                     counts.dry_run_limit_count(),
                     counts.failed_limit_count());
}

}  // namespace hvguard::ctl
