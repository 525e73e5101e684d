// Gateway: wires the core link, the hubs, the service, the server and the acceptor, and nothing
// else. Main's thread.
#pragma once

#include <memory>

#include "base/result.h"
#include "base/time.h"
#include "gateway/acceptor.h"
#include "gateway/admin_service.h"
#include "gateway/agent_service.h"
#include "gateway/core_link.h"
#include "gateway/incident_hub.h"
#include "gateway/listener.h"
#include "gateway/options.h"
#include "gateway/server.h"
#include "gateway/status_hub.h"
#include "gateway/watcher_slots.h"

namespace hvguard::gateway {

class Gateway {
 public:
  // Listening and connecting when it returns.
  static Result<std::unique_ptr<Gateway>> start(const Options& options);
  ~Gateway();

  // Tells watchers to come again, ends calls, stops the threads; within two seconds.
  void stop();
  // When the slower of our loops last went round.
  [[nodiscard]] BootTime progress_time() const;

 private:
  explicit Gateway(const Options& options);
  void end_calls();

  const Options options_;
  link::MirrorSlot slot_;
  WatcherSlots watcher_slots_;
  IncidentHub incidents_;
  StatusHub statuses_;
  AgentService service_;
  AdminDesk desk_;
  AdminService admin_service_;
  UniqueFd lock_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<CoreLink> core_link_;
  std::unique_ptr<Acceptor> acceptor_;
  bool stopped_ = false;
};

}  // namespace hvguard::gateway
