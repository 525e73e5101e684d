#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "ctl/backend.h"
#include "link/core_connection.h"
#include "link/mirror.h"
#include "link/queries.h"

namespace hvguard::ctl {
namespace {

// One frame answers all questions of one run.
class DirectBackend final : public Backend {
 public:
  DirectBackend(std::string path, Nanoseconds timeout)
      : path_(std::move(path)), timeout_(timeout) {}

  Result<v1::GetStatusResponse> get_status() override {
    if (auto loaded = load(); !loaded) {
      return fail(std::move(loaded.error()));
    }
    return link::get_status(*mirror_);
  }
  Result<v1::ListVmsResponse> list_vms(const v1::ListVmsRequest& request) override {
    return ask(link::list_vms, request);
  }
  Result<v1::GetVmResponse> get_vm(const v1::GetVmRequest& request) override {
    return ask(link::get_vm, request);
  }
  Result<v1::ListBlockedTasksResponse> list_blocked_tasks(
      const v1::ListBlockedTasksRequest& request) override {
    return ask(link::list_blocked_tasks, request);
  }
  Result<v1::ListIncidentsResponse> list_incidents(
      const v1::ListIncidentsRequest& request) override {
    return ask(link::list_incidents, request);
  }
  Result<v1::GetIncidentResponse> get_incident(const v1::GetIncidentRequest& request) override {
    return ask(link::get_incident, request);
  }
  Result<v1::ListLimitsResponse> list_limits(const v1::ListLimitsRequest& request) override {
    return ask(link::list_limits, request);
  }
  Result<v1::ListDecisionsResponse> list_decisions(
      const v1::ListDecisionsRequest& request) override {
    return ask(link::list_decisions, request);
  }
  Result<v1::AdminReply> admin(const v1::AdminCall& call) override {
    return link::call_admin(path_, call, boot_time_now() + timeout_);
  }
  Result<> watch_incidents(const v1::WatchIncidentsRequest& /*request*/,
                           const OnWatched& /*on_watched*/) override {
    return fail(Errc::kInvalid,
                "incidents watch needs hvguard-gateway: leave out --direct, or repeat "
                "`hvguardctl --direct incidents`");
  }

 private:
  template <class Response, class Request>
  Result<Response> ask(Result<Response> (*question)(const link::Mirror&, const Request&),
                       const Request& request) {
    if (auto loaded = load(); !loaded) {
      return fail(std::move(loaded.error()));
    }
    return question(*mirror_, request);
  }

  Result<> load() {
    if (mirror_ != nullptr) {
      return {};
    }
    const BootTime deadline = boot_time_now() + timeout_;
    auto connection = link::CoreConnection::open(path_, link::Want::kOneFrame, deadline);
    if (!connection) {
      return fail(std::move(connection.error()));
    }
    auto frame = connection->next(deadline);
    if (!frame) {
      return fail(std::move(frame.error()));
    }
    if (!*frame) {
      return fail(Errc::kUnavailable,
                  fmt::format("hvguardd at {} gave no data within {}: it is starting or stuck: "
                              "`systemctl status hvguardd`",
                              path_,
                              format_duration(timeout_)));
    }
    mirror_ = link::build_mirror(std::move(**frame), nullptr);
    return {};
  }

  const std::string path_;
  const Nanoseconds timeout_;
  std::shared_ptr<const link::Mirror> mirror_;
};

}  // namespace

std::unique_ptr<Backend> make_direct_backend(const Options& options) {
  return std::make_unique<DirectBackend>(options.core_socket, options.timeout);
}

}  // namespace hvguard::ctl
