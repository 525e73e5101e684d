// Backend: where hvguardctl gets its answers: hvguard-gateway over gRPC, or hvguardd's core.sock
// (--direct). Everything blocks up to the timeout; one thread.
// Errors carry the code that becomes the exit code, and the remedy.
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"
#include "ctl/options.h"
#include "hvguard/v1/agent_service.pb.h"
#include "hvguard/v1/core_link.pb.h"

namespace hvguard::ctl {

class Backend {
 public:
  // False ends the watch.
  using OnWatched = std::function<bool(const v1::WatchIncidentsResponse&)>;

  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  virtual Result<v1::GetStatusResponse> get_status() = 0;
  virtual Result<v1::ListVmsResponse> list_vms(const v1::ListVmsRequest& request) = 0;
  virtual Result<v1::GetVmResponse> get_vm(const v1::GetVmRequest& request) = 0;
  virtual Result<v1::ListBlockedTasksResponse> list_blocked_tasks(
      const v1::ListBlockedTasksRequest& request) = 0;
  virtual Result<v1::ListIncidentsResponse> list_incidents(
      const v1::ListIncidentsRequest& request) = 0;
  virtual Result<v1::GetIncidentResponse> get_incident(const v1::GetIncidentRequest& request) = 0;
  virtual Result<v1::ListLimitsResponse> list_limits(const v1::ListLimitsRequest& request) = 0;
  virtual Result<v1::ListDecisionsResponse> list_decisions(
      const v1::ListDecisionsRequest& request) = 0;
  // A request of AdminService, without its caller; the reply is that of the same method.
  virtual Result<v1::AdminReply> admin(const v1::AdminCall& call) = 0;
  // Until on_watched says no, or the other side ends: then an error.
  virtual Result<> watch_incidents(const v1::WatchIncidentsRequest& request,
                                   const OnWatched& on_watched) = 0;
};

// Connects at the first question.
[[nodiscard]] std::unique_ptr<Backend> make_gateway_backend(const Options& options);
[[nodiscard]] std::unique_ptr<Backend> make_direct_backend(const Options& options);

}  // namespace hvguard::ctl
