// A backend that answers from a mirror, or fails as the test says.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "ctl/backend.h"
#include "link/mirror.h"
#include "link/queries.h"

namespace hvguard::ctl {

class FakeBackend final : public Backend {
 public:
  using OnAdmin = std::function<Result<v1::AdminReply>(const v1::AdminCall&)>;

  FakeBackend(std::shared_ptr<const link::Mirror> mirror,
              std::optional<Error> error,
              OnAdmin on_admin = {})
      : mirror_(std::move(mirror)), error_(std::move(error)), on_admin_(std::move(on_admin)) {}

  Result<v1::GetStatusResponse> get_status() override {
    if (error_) {
      return fail(*error_);
    }
    return link::get_status(*mirror_);
  }
  Result<v1::ListVmsResponse> list_vms(const v1::ListVmsRequest& request) override {
    if (error_) {
      return fail(*error_);
    }
    return link::list_vms(*mirror_, request);
  }
  Result<v1::GetVmResponse> get_vm(const v1::GetVmRequest& request) override {
    return link::get_vm(*mirror_, request);
  }
  Result<v1::ListBlockedTasksResponse> list_blocked_tasks(
      const v1::ListBlockedTasksRequest& request) override {
    return link::list_blocked_tasks(*mirror_, request);
  }
  Result<v1::ListIncidentsResponse> list_incidents(
      const v1::ListIncidentsRequest& request) override {
    return link::list_incidents(*mirror_, request);
  }
  Result<v1::GetIncidentResponse> get_incident(const v1::GetIncidentRequest& request) override {
    return link::get_incident(*mirror_, request);
  }
  Result<v1::ListLimitsResponse> list_limits(const v1::ListLimitsRequest& request) override {
    return link::list_limits(*mirror_, request);
  }
  Result<v1::ListDecisionsResponse> list_decisions(
      const v1::ListDecisionsRequest& request) override {
    return link::list_decisions(*mirror_, request);
  }
  Result<v1::AdminReply> admin(const v1::AdminCall& call) override {
    if (error_) {
      return fail(*error_);
    }
    return on_admin_(call);
  }
  Result<> watch_incidents(const v1::WatchIncidentsRequest& /*request*/,
                           const OnWatched& /*on_watched*/) override {
    return fail(Errc::kUnavailable, "the watch ended");
  }

 private:
  std::shared_ptr<const link::Mirror> mirror_;
  std::optional<Error> error_;
  OnAdmin on_admin_;
};

}  // namespace hvguard::ctl
