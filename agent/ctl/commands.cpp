#include "ctl/commands.h"

#include <optional>
#include <set>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "ctl/admin_commands.h"
#include "ctl/exit_code.h"
#include "ctl/format.h"
#include "ctl/json.h"
#include "ctl/views.h"

namespace hvguard::ctl {
namespace {

constexpr std::int32_t kPageSize = 1000;
constexpr int kMaxPages = 1000;  // a server that gives tokens without end is not followed
constexpr Nanoseconds kStaleAfter = std::chrono::seconds(3);

// One run of one command.
class Run {
 public:
  Run(const Options& options, const Context& context)
      : options_(options),
        context_(context),
        backend_(options.direct ? context.direct(options) : context.gateway(options)) {}

  int go() {
    switch (options_.command) {
      case Command::kStatus:
        return status();
      case Command::kVms:
        return vms();
      case Command::kVm:
        return vm();
      case Command::kTasks:
        return tasks();
      case Command::kIncidentsList:
        return incidents();
      case Command::kIncidentsShow:
        return incident();
      case Command::kIncidentsWatch:
        return watch();
      case Command::kVersion:
        return version();
      case Command::kLimits:
        return limits();
      case Command::kWhy:
        return why();
      case Command::kMode:
        return mode();
      default:
        return kExitUsage;
    }
  }

 private:
  [[nodiscard]] Style style() const {
    Style style = context_.style;
    style.now = context_.now();
    return style;
  }

  void warn(std::string_view text) const { context_.err(fmt::format("hvguardctl: {}\n", text)); }

  int failed(const Error& error) const {
    warn(error.message);
    return exit_code_of(error.code);
  }

  int show(const google::protobuf::Message& message, const std::string& view) const {
    const bool written = context_.out(options_.json ? json_text(message) : view);
    return written ? kExitOk : kExitFailed;
  }

  // Of what was shown: an answer from old data is an answer, but not about now.
  int checked(int code, bool known, const google::protobuf::Timestamp& observe_time) const {
    const Nanoseconds age = context_.now().since_epoch - wall_time(observe_time).since_epoch;
    if (code != kExitOk || (known && age <= kStaleAfter)) {
      return code;
    }
    warn(known ? fmt::format("the data are {} old: hvguardd does not report; `systemctl status "
                             "hvguardd`",
                             format_duration(age))
               : "hvguardd has read nothing yet; `journalctl -u hvguardd` says why");
    return kExitStale;
  }

  template <class Answer>
  int show_checked(const Answer& answer, const std::string& view) const {
    return checked(show(answer, view), answer.has_observe_time(), answer.observe_time());
  }

  // All pages as one answer.
  template <class Request, class Response, class List>
  Result<Response> all_pages(Request request,
                             Result<Response> (Backend::*method)(const Request&),
                             List list) {
    request.set_page_size(kPageSize);
    std::optional<Response> whole;
    for (int page = 0; page < kMaxPages; ++page) {
      auto answer = (backend_.get()->*method)(request);
      if (!answer) {
        return answer;
      }
      request.set_page_token(answer->next_page_token());
      if (!whole) {
        whole = std::move(*answer);
      } else {
        list(*whole)->MergeFrom(*list(*answer));
      }
      if (request.page_token().empty()) {
        break;
      }
    }
    whole->clear_next_page_token();
    return std::move(*whole);
  }

  int status() {
    auto answer = backend_->get_status();
    const bool may_ask_directly = !answer && !options_.direct && context_.is_root &&
                                  exit_code_of(answer.error().code) == kExitUnreachable;
    if (may_ask_directly) {
      warn(fmt::format("{}; asking hvguardd itself", answer.error().message));
      answer = context_.direct(options_)->get_status();
    }
    if (!answer) {
      return failed(answer.error());
    }
    const v1::Status& status = answer->status();
    return checked(show(*answer, status_view(status, style())),
                   status.has_observe_time(),
                   status.observe_time());
  }

  int vms() {
    v1::ListVmsRequest request;
    request.mutable_filter()->set_name_glob(options_.filter);
    request.set_include_device_ios(true);
    const auto answer = all_pages<v1::ListVmsRequest, v1::ListVmsResponse>(
        request, &Backend::list_vms, [](v1::ListVmsResponse& page) { return page.mutable_vms(); });
    if (!answer) {
      return failed(answer.error());
    }
    return show_checked(*answer, vms_view(*answer, options_.order, style()));
  }

  int vm() {
    v1::GetVmRequest request;
    request.set_vm(options_.subject);
    const auto answer = backend_->get_vm(request);
    if (!answer) {
      return failed(answer.error());
    }
    v1::ListIncidentsResponse about;
    if (!options_.json) {
      v1::ListIncidentsRequest incidents;
      incidents.mutable_filter()->set_vm_id(answer->vm().vm_id());
      incidents.mutable_filter()->set_state(v1::Incident::STATE_OPEN);
      if (auto listed = backend_->list_incidents(incidents)) {
        about = std::move(*listed);
      } else {
        warn(listed.error().message);
      }
    }
    std::string view = vm_view(answer->vm(), about, style());
    if (!answer->limits().empty()) {
      view += "\n" + limits_view(answer->limits(), style());
    }
    return show_checked(*answer, view);
  }

  // --vm takes a name too, filters only an id.
  Result<std::string> vm_id_of(const std::string& name) {
    v1::GetVmRequest request;
    request.set_vm(name);
    auto answer = backend_->get_vm(request);
    if (!answer) {
      return fail(std::move(answer.error()));
    }
    return answer->vm().vm_id();
  }

  int tasks() {
    v1::ListBlockedTasksRequest request;
    request.mutable_filter()->set_only_hard(!options_.all);
    if (!options_.vm.empty()) {
      const auto id = vm_id_of(options_.vm);
      if (!id) {
        return failed(id.error());
      }
      request.mutable_filter()->set_vm_id(*id);
    }
    const auto answer = all_pages<v1::ListBlockedTasksRequest, v1::ListBlockedTasksResponse>(
        request, &Backend::list_blocked_tasks, [](v1::ListBlockedTasksResponse& page) {
          return page.mutable_blocked_tasks();
        });
    if (!answer) {
      return failed(answer.error());
    }
    return show_checked(*answer, tasks_view(*answer, options_.stack, style()));
  }

  Result<v1::IncidentFilter> incident_filter(bool also_resolved) {
    v1::IncidentFilter filter;
    if (!also_resolved) {
      filter.set_state(v1::Incident::STATE_OPEN);
    }
    for (const std::string& kind : options_.kinds) {
      for (int number = v1::Incident::Kind_MIN; number <= v1::Incident::Kind_MAX; ++number) {
        if (v1::Incident::Kind_IsValid(number) &&
            kind == kind_text(static_cast<v1::Incident::Kind>(number))) {
          filter.add_kinds(static_cast<v1::Incident::Kind>(number));
        }
      }
    }
    if (!options_.vm.empty()) {
      auto id = vm_id_of(options_.vm);
      if (!id) {
        return fail(std::move(id.error()));
      }
      filter.set_vm_id(*id);
    }
    return filter;
  }

  int incidents() {
    auto filter = incident_filter(options_.all);
    if (!filter) {
      return failed(filter.error());
    }
    v1::ListIncidentsRequest request;
    *request.mutable_filter() = std::move(*filter);
    const auto answer = all_pages<v1::ListIncidentsRequest, v1::ListIncidentsResponse>(
        request, &Backend::list_incidents, [](v1::ListIncidentsResponse& page) {
          return page.mutable_incidents();
        });
    if (!answer) {
      return failed(answer.error());
    }
    return show_checked(*answer, incidents_view(*answer, style()));
  }

  int incident() {
    v1::GetIncidentRequest request;
    request.set_incident_id(options_.subject);
    const auto answer = backend_->get_incident(request);
    if (!answer) {
      return failed(answer.error());
    }
    return show_checked(*answer, incident_view(answer->incident(), style()));
  }

  int watch() {
    auto filter = incident_filter(true);
    if (!filter) {
      return failed(filter.error());
    }
    v1::WatchIncidentsRequest request;
    *request.mutable_filter() = std::move(*filter);
    request.set_resume_token(options_.resume_token);
    if (auto now = backend_->get_status(); now && !options_.direct) {
      // Said at once, because a watch of stale data looks just like a quiet one.
      checked(kExitOk, now->status().has_observe_time(), now->status().observe_time());
    }
    const auto watched =
        backend_->watch_incidents(request, [&](const v1::WatchIncidentsResponse& response) {
          return context_.out(options_.json ? json_line(response)
                                            : watched_view(response, style()));
        });
    return watched ? kExitOk : failed(watched.error());
  }

  int limits() {
    v1::ListLimitsRequest request;
    if (!options_.vm.empty()) {
      const auto id = vm_id_of(options_.vm);
      if (!id) {
        return failed(id.error());
      }
      request.mutable_filter()->set_vm_id(*id);
    }
    const auto answer = all_pages<v1::ListLimitsRequest, v1::ListLimitsResponse>(
        request, &Backend::list_limits, [](v1::ListLimitsResponse& page) {
          return page.mutable_limits();
        });
    if (!answer) {
      return failed(answer.error());
    }
    return show_checked(*answer, limits_view(answer->limits(), style()));
  }

  int why() {
    auto answer = why_answer();
    if (!answer) {
      return failed(answer.error());
    }
    const bool written =
        context_.out(options_.json ? why_json(*answer) : why_view(*answer, style()));
    return checked(
        written ? kExitOk : kExitFailed, answer->vm.has_observe_time(), answer->vm.observe_time());
  }

  // The VM with its limits, its decisions, and the incidents about it or behind those.
  Result<WhyAnswer> why_answer() {
    WhyAnswer answer;
    v1::GetVmRequest vm;
    vm.set_vm(options_.subject);
    auto found = backend_->get_vm(vm);
    if (!found) {
      return fail(std::move(found.error()));
    }
    answer.vm = std::move(*found);
    v1::ListDecisionsRequest decisions;
    decisions.mutable_filter()->set_vm_id(answer.vm.vm().vm_id());
    auto listed = all_pages<v1::ListDecisionsRequest, v1::ListDecisionsResponse>(
        decisions, &Backend::list_decisions, [](v1::ListDecisionsResponse& page) {
          return page.mutable_decisions();
        });
    if (!listed) {
      return fail(std::move(listed.error()));
    }
    answer.decisions = std::move(*listed);
    auto incidents = all_pages<v1::ListIncidentsRequest, v1::ListIncidentsResponse>(
        v1::ListIncidentsRequest(), &Backend::list_incidents, [](v1::ListIncidentsResponse& page) {
          return page.mutable_incidents();
        });
    if (!incidents) {
      return fail(std::move(incidents.error()));
    }
    std::set<std::string> wanted;
    for (const v1::Limit& limit : answer.vm.limits()) {
      wanted.insert(limit.incident_id());
    }
    for (const v1::Decision& decision : answer.decisions.decisions()) {
      wanted.insert(decision.incident_id());
    }
    for (v1::Incident& incident : *incidents->mutable_incidents()) {
      if (incident.vm_id() == answer.vm.vm().vm_id() || wanted.contains(incident.incident_id())) {
        answer.incidents.push_back(std::move(incident));
      }
    }
    return answer;
  }

  int mode() {
    const auto answer = backend_->get_status();
    if (!answer) {
      return failed(answer.error());
    }
    const v1::Status& status = answer->status();
    v1::SetModeResponse mode;
    mode.set_mode(status.agent().mode());
    return checked(show(mode, mode_view(status)), status.has_observe_time(), status.observe_time());
  }

  // hvguardctl's own version never fails; hvguardd's is told if it can be had.
  int version() {
    const auto answer = backend_->get_status();
    const std::string agent = answer ? answer->status().agent().version() : std::string();
    if (options_.json) {
      return context_.out(version_json(HVGUARD_VERSION, agent)) ? kExitOk : kExitFailed;
    }
    return context_.out(
               fmt::format("hvguardctl {}\nhvguardd {}\n",
                           HVGUARD_VERSION,
                           answer ? printable(agent) : "not known: " + answer.error().message))
               ? kExitOk
               : kExitFailed;
  }

  const Options& options_;
  const Context& context_;
  std::unique_ptr<Backend> backend_;
};

}  // namespace

int run(const Options& options, const Context& context) {
  const bool shows_mode = options.command == Command::kMode && options.subject.empty();
  return is_admin_command(options.command) && !shows_mode ? run_admin(options, context)
                                                          : Run(options, context).go();
}

}  // namespace hvguard::ctl
