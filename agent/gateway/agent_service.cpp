#include "gateway/agent_service.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "gateway/watch_reactor.h"
#include "link/queries.h"

namespace hvguard::gateway {
namespace {

constexpr std::uint32_t kDefaultIntervalMs = 1000;
constexpr std::uint32_t kMinIntervalMs = 200;
constexpr std::uint32_t kMaxIntervalMs = 3'600'000;

// The mirror, or why there is none.
Result<std::shared_ptr<const link::Mirror>> mirror_of(const link::MirrorSlot& slot) {
  link::MirrorSlot::View view = slot.view();
  if (view.mirror == nullptr) {
    return fail(Errc::kUnavailable,
                view.link_error.empty()
                    ? "no data from hvguardd yet: try again in a second"
                    : fmt::format("no data from hvguardd yet: {}", view.link_error));
  }
  return std::move(view.mirror);
}

template <class Response, class Ask>
grpc::ServerUnaryReactor* answer(grpc::CallbackServerContext* context,
                                 const link::MirrorSlot& slot,
                                 Response* response,
                                 Ask ask) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const auto mirror = mirror_of(slot);
  if (!mirror) {
    reactor->Finish(to_status(mirror.error()));
    return reactor;
  }
  Result<Response> answered = ask(**mirror);
  if (answered) {
    *response = std::move(*answered);
    reactor->Finish(grpc::Status::OK);
  } else {
    reactor->Finish(to_status(answered.error()));
  }
  return reactor;
}

bool fill_incident(IncidentHub::Watch& watch, v1::WatchIncidentsResponse& response) {
  const auto event = watch.pull();
  if (!event) {
    return false;
  }
  switch (event->kind) {
    case IncidentEvent::Kind::kSnapshot:
      *response.mutable_snapshot() = *event->incident;
      break;
    case IncidentEvent::Kind::kEndOfSnapshot:
      response.mutable_end_of_snapshot()->set_snapshot_count(
          static_cast<std::uint32_t>(event->count));
      break;
    case IncidentEvent::Kind::kChange:
      *response.mutable_change() = *event->incident;
      break;
    case IncidentEvent::Kind::kGap:
      response.mutable_gap()->set_dropped_count(event->count);
      break;
  }
  response.set_epoch(event->epoch);
  response.set_sequence(event->sequence);
  response.set_resume_token(event->resume_token);
  return true;
}

bool fill_status(StatusHub::Watch& watch, v1::WatchStatusResponse& response) {
  const auto event = watch.pull(boot_time_now());
  if (!event) {
    return false;
  }
  *response.mutable_status() = event->mirror->status;
  response.set_epoch(event->mirror->epoch);
  response.set_sequence(event->sequence);
  response.set_dropped_count(event->dropped_count);
  return true;
}

}  // namespace

grpc::ServerUnaryReactor* AgentService::GetStatus(grpc::CallbackServerContext* context,
                                                  const v1::GetStatusRequest* /*request*/,
                                                  v1::GetStatusResponse* response) {
  return answer(context, slot_, response, [](const link::Mirror& mirror) {
    return Result<v1::GetStatusResponse>(link::get_status(mirror));
  });
}

grpc::ServerUnaryReactor* AgentService::ListVms(grpc::CallbackServerContext* context,
                                                const v1::ListVmsRequest* request,
                                                v1::ListVmsResponse* response) {
  return answer(context, slot_, response, [request](const link::Mirror& mirror) {
    return link::list_vms(mirror, *request);
  });
}

grpc::ServerUnaryReactor* AgentService::GetVm(grpc::CallbackServerContext* context,
                                              const v1::GetVmRequest* request,
                                              v1::GetVmResponse* response) {
  return answer(context, slot_, response, [request](const link::Mirror& mirror) {
    return link::get_vm(mirror, *request);
  });
}

grpc::ServerUnaryReactor* AgentService::ListBlockedTasks(grpc::CallbackServerContext* context,
                                                         const v1::ListBlockedTasksRequest* request,
                                                         v1::ListBlockedTasksResponse* response) {
  return answer(context, slot_, response, [request](const link::Mirror& mirror) {
    return link::list_blocked_tasks(mirror, *request);
  });
}

grpc::ServerUnaryReactor* AgentService::ListIncidents(grpc::CallbackServerContext* context,
                                                      const v1::ListIncidentsRequest* request,
                                                      v1::ListIncidentsResponse* response) {
  return answer(context, slot_, response, [request](const link::Mirror& mirror) {
    return link::list_incidents(mirror, *request);
  });
}

grpc::ServerUnaryReactor* AgentService::GetIncident(grpc::CallbackServerContext* context,
                                                    const v1::GetIncidentRequest* request,
                                                    v1::GetIncidentResponse* response) {
  return answer(context, slot_, response, [request](const link::Mirror& mirror) {
    return link::get_incident(mirror, *request);
  });
}

grpc::ServerUnaryReactor* AgentService::ListLimits(grpc::CallbackServerContext* context,
                                                   const v1::ListLimitsRequest* request,
                                                   v1::ListLimitsResponse* response) {
  return answer(context, slot_, response, [request](const link::Mirror& mirror) {
    return link::list_limits(mirror, *request);
  });
}

grpc::ServerUnaryReactor* AgentService::ListDecisions(grpc::CallbackServerContext* context,
                                                      const v1::ListDecisionsRequest* request,
                                                      v1::ListDecisionsResponse* response) {
  return answer(context, slot_, response, [request](const link::Mirror& mirror) {
    return link::list_decisions(mirror, *request);
  });
}

grpc::ServerWriteReactor<v1::WatchIncidentsResponse>* AgentService::WatchIncidents(
    grpc::CallbackServerContext* /*context*/, const v1::WatchIncidentsRequest* request) {
  return WatchReactor<v1::WatchIncidentsResponse, IncidentHub::Watch>::start(
      [&](IncidentHub::Wake wake) -> Result<std::shared_ptr<IncidentHub::Watch>> {
        if (const auto mirror = mirror_of(slot_); !mirror) {
          return fail(mirror.error());
        }
        return incidents_.watch(*request, std::move(wake));
      },
      fill_incident);
}

grpc::ServerWriteReactor<v1::WatchStatusResponse>* AgentService::WatchStatus(
    grpc::CallbackServerContext* /*context*/, const v1::WatchStatusRequest* request) {
  const std::uint32_t wanted = request->interval_ms();
  const auto interval = std::chrono::milliseconds(
      wanted == 0 ? kDefaultIntervalMs : std::clamp(wanted, kMinIntervalMs, kMaxIntervalMs));
  return WatchReactor<v1::WatchStatusResponse, StatusHub::Watch>::start(
      [&](StatusHub::Wake wake) -> Result<std::shared_ptr<StatusHub::Watch>> {
        if (const auto mirror = mirror_of(slot_); !mirror) {
          return fail(mirror.error());
        }
        return statuses_.watch(interval, std::move(wake));
      },
      fill_status);
}

}  // namespace hvguard::gateway
