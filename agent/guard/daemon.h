// hvguardd: wires sampler → inbox → pipeline → enforcer and publisher, and tells the service
// manager. Main thread, which is the loop.
#pragma once

#include <memory>
#include <string>

#include "decide/pipeline.h"
#include "enforce/enforcer.h"
#include "guard/config_reader.h"
#include "guard/event_loop.h"
#include "guard/inbox.h"
#include "guard/notify.h"
#include "guard/outlets.h"
#include "guard/runtime_folder.h"
#include "observe/sampler.h"
#include "publish/event_source.h"

namespace hvguard::guard {

struct DaemonOptions {
  std::string config_path;
  std::string runtime_folder;  // core.sock moves with it, unless the configuration names a path
  std::string probe_path;
  std::string limits_path;  // of hvguard-limits
};

struct Ending {
  int exit_code = 0;
  // A thread is stuck in a read and was left behind: only _exit() ends the process then.
  bool thread_left_behind = false;
};

class Daemon {
 public:
  // Everything but the sampler, which starts with run(). Fails if another hvguardd runs.
  static Result<std::unique_ptr<Daemon>> create(DaemonOptions options, const ReadConfig& config);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Until SIGTERM or SIGINT; then ends within 2 s whatever hangs (exit_after()).
  Result<Ending> run();

 private:
  Daemon(DaemonOptions options,
         const Config& config,
         EventLoop loop,
         RuntimeFolder folder,
         std::shared_ptr<Inbox> inbox,
         Outlets outlets,
         std::unique_ptr<enforce::Enforcer> enforcer);
  Result<> watch_inbox();
  Result<> start_sampler();
  void on_signal(int signal);
  void on_snapshot(std::shared_ptr<const Snapshot> snapshot);
  void on_late_check();
  void finish(const TickResult& result, bool fresh, BootTime step_start);
  void enforce(const TickResult& result, BootTime now);
  void release_limits();
  Result<AdminAnswer> on_request(const AdminRequest& request);
  void reload();
  void apply(ReadConfig config);
  void refuse_reload(const std::string& why);
  Ending stop(int exit_code);

  DaemonOptions options_;
  Config config_;
  EventLoop loop_;
  RuntimeFolder folder_;
  ServiceManager service_manager_;
  std::shared_ptr<Inbox> inbox_;
  Pipeline pipeline_;
  std::unique_ptr<enforce::Enforcer> enforcer_;
  std::unique_ptr<Publisher> publisher_;
  ConfigReader config_reader_;
  std::unique_ptr<observe::Sampler> sampler_;
  std::unique_ptr<SignalWatch> signals_;
  publish::EventSource inbox_source_;
  publish::EventSource late_timer_;
  BootTime last_snapshot_;
  bool late_ = false;
  std::string status_ = "starting";
};

}  // namespace hvguard::guard
