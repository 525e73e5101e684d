#include "guard/publisher.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "guard/log.h"
#include "publish/admin_reply.h"
#include "publish/frame.h"

namespace hvguard::guard {
namespace {

std::string counted(std::size_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

}  // namespace

std::string status_line(const TickResult& result) {
  const auto open = static_cast<std::size_t>(
      std::count_if(result.incidents.begin(), result.incidents.end(), [](const Incident& incident) {
        return incident.state == IncidentState::kOpen;
      }));
  const std::string incidents = counted(open, "open incident", "open incidents");
  if (!result.snapshot) {
    return "no reading yet, " + incidents;
  }
  const std::string vms = counted(result.snapshot->vms.size(), "VM", "VMs");
  if (!result.snapshot->tasks) {
    return fmt::format("{}, blocked tasks not known, {}", vms, incidents);
  }
  const auto& blocked = result.snapshot->tasks->blocked;
  const auto hard = std::count_if(blocked.begin(), blocked.end(), [](const BlockedTask& task) {
    return task.blocked_class == BlockedClass::kHard ||
           task.blocked_class == BlockedClass::kUnknown;
  });
  return fmt::format("{}, {}, {}",
                     vms,
                     counted(static_cast<std::size_t>(hard), "blocked task", "blocked tasks"),
                     incidents);
}

Publisher::Publisher(Audit audit,
                     std::unique_ptr<publish::CoreServer> server,
                     publish::StateFile state_file,
                     BootId boot_id,
                     std::uint64_t epoch)
    : audit_(std::move(audit)),
      server_(std::move(server)),
      state_file_(std::move(state_file)),
      boot_id_(std::move(boot_id)) {
  figures_.version = HVGUARD_VERSION;
  figures_.start_time = wall_time_now();
  figures_.epoch = epoch;
}

void Publisher::publish(const TickResult& result,
                        bool fresh,
                        const HandlerTimes& handler_times,
                        BootTime step_start) {
  audit_.changes(result.changes);
  if (fresh) {
    audit_.sources(*result.snapshot);
    count_tick(*result.snapshot);
  }
  save(result);
  collect_figures(handler_times);
  const publish::ClockPair now{boot_time_now(), wall_time_now()};
  if (result.snapshot) {
    snapshot_ = result.snapshot;
  }
  remember(result.decisions, publish::clocks_of(result, now));
  publish::FrameContent content = publish::frame_content(result, figures_, ++frame_number_, now);
  content.decisions.assign(decisions_.decisions().begin(), decisions_.decisions().end());
  auto frame = publish::encode_frame(std::move(content));
  figures_.drops.trimmed_count += frame->trimmed_count;
  server_->publish(std::move(frame));
  figures_.step_duration = boot_time_now() - step_start;
}

void Publisher::on_admin(std::function<Result<AdminAnswer>(const AdminRequest&)> handler) {
  server_->on_admin([this, judge = std::move(handler)](const AdminRequest& request) {
    const std::uint64_t reload_count = figures_.reload_count;
    const Result<AdminAnswer> answer = judge(request);
    audit_.record(publish::audit_record(request, answer));
    return publish::admin_reply(request,
                                answer,
                                reload_count,
                                publish::labels_of(snapshot_.get()),
                                {boot_time_now(), wall_time_now()});
  });
}

void Publisher::remember(const std::vector<Decision>& decisions, const publish::ClockPair& clocks) {
  if (decisions.empty()) {
    return;
  }
  const publish::Labels labels = publish::labels_of(snapshot_.get());
  std::vector<Decision> fresh;
  for (const Decision& decision : decisions) {
    if (decisions_.add(decision, labels, clocks)) {
      fresh.push_back(decision);
    }
  }
  audit_.decisions(fresh, labels);
}

void Publisher::count_tick(const Snapshot& snapshot) {
  ++figures_.tick_count;
  if (snapshot.tick > last_tick_) {
    figures_.skipped_tick_count += snapshot.tick - last_tick_ - 1;
    last_tick_ = snapshot.tick;
  }
}

void Publisher::collect_figures(const HandlerTimes& handler_times) {
  figures_.max_handler_duration = handler_times.longest;
  figures_.handler_time_buckets = handler_times.buckets;
  figures_.drops.frame_count = server_->skipped_frame_count();
  figures_.drops.refused_request_count = server_->refused_request_count();
  figures_.drops.journal_count = audit_.dropped_count();
  figures_.drops.log_count = dropped_log_count();
}

void Publisher::save(const TickResult& result) {
  if (saved_ && result.changes.empty() && result.incidents.size() == saved_incident_count_) {
    return;
  }
  const auto stored =
      state_file_.store(publish::save_state(result.incidents, boot_id_, figures_.epoch));
  saved_ = stored.has_value();
  saved_incident_count_ = result.incidents.size();
  if (!stored && !save_failed_) {
    spdlog::warn("{}; a restart will announce open incidents anew", stored.error().message);
  }
  save_failed_ = !stored;
}

}  // namespace hvguard::guard
