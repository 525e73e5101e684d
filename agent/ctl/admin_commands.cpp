#include "ctl/admin_commands.h"

#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/ids.h"
#include "base/text.h"
#include "ctl/exit_code.h"
#include "ctl/format.h"
#include "ctl/json.h"
#include "ctl/limit_words.h"
#include "ctl/views.h"

namespace hvguard::ctl {
namespace {

constexpr Nanoseconds kPollInterval = std::chrono::milliseconds(100);
constexpr std::size_t kMaxNamedDevices = 20;

class AdminRun {
 public:
  AdminRun(const Options& options, const Context& context)
      : options_(options), context_(context), backend_(connect()) {}

  int go() {
    auto call = make_call();
    if (!call) {
      return failed(call.error());
    }
    auto reply = backend_->admin(*call);
    if (!reply) {
      return failed(reply.error());
    }
    if (reply->has_reload_config() && !options_.dry_run) {
      if (auto ended = wait_for_reload(reply->reload_config().reload_count()); !ended) {
        return failed(ended.error());
      }
    }
    Style style = context_.style;
    style.now = context_.now();
    const bool written = context_.out(options_.json ? json_text(response_of(*reply))
                                                    : admin_view(*reply, options_.dry_run, style));
    return written ? kExitOk : kExitFailed;
  }

 private:
  [[nodiscard]] std::unique_ptr<Backend> connect() const {
    return options_.direct ? context_.direct(options_) : context_.gateway(options_);
  }

  int failed(const Error& error) const {
    context_.err(fmt::format("hvguardctl: {}\n", error.message));
    return exit_code_of(error.code);
  }

  template <class Request>
  void fill_common(Request& request) const {
    request.set_request_id(context_.request_id());
    request.set_reason(options_.reason);
    request.set_validate_only(options_.dry_run);
  }

  Result<v1::AdminCall> make_call() {
    v1::AdminCall call;
    switch (options_.command) {
      case Command::kLimitSet:
        return set_limit(call);
      case Command::kLimitRelease:
        return release_limit(call);
      case Command::kMode: {
        auto& request = *call.mutable_set_mode();
        fill_common(request);
        v1::AgentStatus::Mode mode = v1::AgentStatus::MODE_UNSPECIFIED;
        for (const auto each : {v1::AgentStatus::MODE_OBSERVE,
                                v1::AgentStatus::MODE_DRY_RUN,
                                v1::AgentStatus::MODE_ENFORCE}) {
          mode = mode_text(each) == options_.subject ? each : mode;
        }
        request.set_mode(mode);
        request.set_as_configured(mode == v1::AgentStatus::MODE_UNSPECIFIED);
        return call;
      }
      case Command::kCordon:
      case Command::kUncordon:
        fill_common(*call.mutable_set_cordon());
        call.mutable_set_cordon()->set_cordoned(options_.command == Command::kCordon);
        return call;
      case Command::kAck:
        return acknowledge(call);
      default:
        fill_common(*call.mutable_reload_config());
        return call;
    }
  }

  // The VM by name, id or UUID, and the device by name or number.
  template <class Request>
  Result<> fill_target(Request& request) {
    v1::GetVmRequest wanted;
    wanted.set_vm(options_.subject);
    const auto vm = backend_->get_vm(wanted);
    if (!vm) {
      return fail(vm.error());
    }
    request.set_vm_id(vm->vm().vm_id());
    const v1::Limit::Kind kind = limit_kind_of(options_.limit_kind);
    request.set_kind(kind);
    if (is_per_device(kind) && options_.device.empty()) {
      return fail(
          Errc::kInvalid,
          fmt::format("{} is per device: give --device, such as sda or 8:0", options_.limit_kind));
    }
    if (options_.device.empty()) {
      return {};
    }
    const auto status = backend_->get_status();
    if (!status) {
      return fail(status.error());
    }
    auto device = find_device(options_.device, status->status());
    if (!device) {
      return fail(std::move(device.error()));
    }
    *request.mutable_device() = *std::move(device);
    return {};
  }

  Result<v1::AdminCall> set_limit(v1::AdminCall& call) {
    auto& request = *call.mutable_set_limit();
    fill_common(request);
    const auto value = parse_limit_value(limit_kind_of(options_.limit_kind), options_.value);
    if (!value) {
      return fail(value.error());
    }
    const auto lease = parse_lease(options_.lease);
    if (!lease) {
      return fail(lease.error());
    }
    if (auto filled = fill_target(request); !filled) {
      return fail(std::move(filled.error()));
    }
    request.set_value(*value);
    request.mutable_lease_duration()->set_seconds(
        std::chrono::duration_cast<std::chrono::seconds>(*lease).count());
    return call;
  }

  Result<v1::AdminCall> release_limit(v1::AdminCall& call) {
    auto& request = *call.mutable_release_limit();
    fill_common(request);
    if (auto filled = fill_target(request); !filled) {
      return fail(std::move(filled.error()));
    }
    return call;
  }

  // The API takes the whole id, people the beginning of it.
  Result<v1::AdminCall> acknowledge(v1::AdminCall& call) {
    auto& request = *call.mutable_acknowledge_incident();
    fill_common(request);
    v1::GetIncidentRequest wanted;
    wanted.set_incident_id(options_.subject);
    const auto incident = backend_->get_incident(wanted);
    if (!incident) {
      return fail(incident.error());
    }
    request.set_incident_id(incident->incident().incident_id());
    return call;
  }

  // hvguardd answers before it has read the file; its status tells when it has, and how it went.
  Result<> wait_for_reload(std::uint64_t count_before) const {
    for (Nanoseconds waited{0}; waited < options_.timeout; waited += kPollInterval) {
      const auto status = connect()->get_status();
      if (!status) {
        return fail(status.error());
      }
      const v1::AgentStatus& agent = status->status().agent();
      if (agent.reload_count() > count_before) {
        return agent.reload_error().empty()
                   ? Result<>()
                   : Result<>(fail(Errc::kInternal,
                                   "the configuration was refused, the old one stays in force: " +
                                       printable(agent.reload_error())));
      }
      context_.pause(kPollInterval);
    }
    return fail(Errc::kTimeout,
                fmt::format("hvguardd has not read its configuration within {}: `hvguardctl "
                            "status` says later how it went",
                            format_duration(options_.timeout)));
  }

  static const google::protobuf::Message& response_of(const v1::AdminReply& reply) {
    switch (reply.kind_case()) {
      case v1::AdminReply::kSetLimit:
        return reply.set_limit();
      case v1::AdminReply::kReleaseLimit:
        return reply.release_limit();
      case v1::AdminReply::kSetMode:
        return reply.set_mode();
      case v1::AdminReply::kSetCordon:
        return reply.set_cordon();
      case v1::AdminReply::kAcknowledgeIncident:
        return reply.acknowledge_incident();
      default:
        return reply.reload_config();
    }
  }

  const Options& options_;
  const Context& context_;
  std::unique_ptr<Backend> backend_;
};

int release_all(const Context& context) {
  if (!context.is_root) {
    context.err("hvguardctl: only root may release all limits: sudo hvguardctl release --all\n");
    return kExitDenied;
  }
  const auto released = context.restore_all();
  if (!released) {
    context.err(fmt::format("hvguardctl: {}\n", released.error().message));
    return exit_code_of(released.error().code);
  }
  return kExitOk;
}

}  // namespace

bool is_admin_command(Command command) {
  switch (command) {
    case Command::kLimitSet:
    case Command::kLimitRelease:
    case Command::kMode:
    case Command::kCordon:
    case Command::kUncordon:
    case Command::kAck:
    case Command::kReload:
    case Command::kReleaseAll:
      return true;
    default:
      return false;
  }
}

int run_admin(const Options& options, const Context& context) {
  return options.command == Command::kReleaseAll ? release_all(context)
                                                 : AdminRun(options, context).go();
}

Result<v1::Device> find_device(std::string_view wanted, const v1::Status& status) {
  const auto number = parse_device_id(wanted);
  std::string known;
  std::size_t count = 0;
  for (const v1::DeviceStatus& each : status.host().devices()) {
    const v1::Device& device = each.device();
    if (device.name() == wanted ||
        (number && device.major() == number->major && device.minor() == number->minor)) {
      return device;
    }
    if (++count <= kMaxNamedDevices) {
      known += (known.empty() ? "" : ", ") + printable(device.name());
    }
  }
  return fail(Errc::kNotFound,
              fmt::format("this host has no disk '{}': it has {}{}",
                          safe_text(wanted, 64),
                          known.empty() ? "none that hvguard knows" : known,
                          count > kMaxNamedDevices ? ", …" : ""));
}

}  // namespace hvguard::ctl
