// What happens to each TickResult: audit, saved state, one frame for all clients of core.sock.
// Counts what was published and lost, for AgentStatus. Loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "guard/audit.h"
#include "guard/handler_times.h"
#include "model/tick_result.h"
#include "publish/agent_figures.h"
#include "publish/core_server.h"
#include "publish/decision_log.h"
#include "publish/saved_state.h"

namespace hvguard::guard {

class Publisher {
 public:
  Publisher(Audit audit,
            std::unique_ptr<publish::CoreServer> server,
            publish::StateFile state_file,
            BootId boot_id,
            std::uint64_t epoch);

  // `step_start`: when the work on this result began. `fresh`: it comes from a new Snapshot, so it
  // is a finished tick.
  void publish(const TickResult& result,
               bool fresh,
               const HandlerTimes& handler_times,
               BootTime step_start);
  // A reload ended; `error` is empty if it worked.
  void set_reload_error(std::string error) {
    figures_.reload_error = std::move(error);
    ++figures_.reload_count;
  }
  // Called on the loop with each request to change something, parsed and bounded; must not block.
  // Each is recorded in the audit trail with its answer.
  void on_admin(std::function<Result<AdminAnswer>(const AdminRequest&)> handler);
  // Called on the loop with each report of hvguard-spool.
  void on_spool_report(std::function<void(SpoolReport)> handler) {
    server_->on_spool_report(std::move(handler));
  }
  [[nodiscard]] Audit& audit() { return audit_; }
  [[nodiscard]] const publish::AgentFigures& figures() const { return figures_; }

 private:
  void count_tick(const Snapshot& snapshot);
  void collect_figures(const HandlerTimes& handler_times);
  void save(const TickResult& result);
  void remember(const std::vector<Decision>& decisions, const publish::ClockPair& clocks);

  Audit audit_;
  std::unique_ptr<publish::CoreServer> server_;
  publish::StateFile state_file_;
  BootId boot_id_;
  publish::AgentFigures figures_;
  publish::DecisionLog decisions_;
  std::shared_ptr<const Snapshot> snapshot_;  // the latest: for names of VMs and devices
  std::uint64_t frame_number_ = 0;
  std::uint64_t last_tick_ = 0;
  std::size_t saved_incident_count_ = 0;
  bool saved_ = false;        // the file holds what was last to be saved
  bool save_failed_ = false;  // said once
};

// "3 VMs, 0 blocked tasks, 1 open incident": for `systemctl status`.
[[nodiscard]] std::string status_line(const TickResult& result);

}  // namespace hvguard::guard
