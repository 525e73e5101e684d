// Enforcer: all of enforce/ as hvguardd uses it: helper processes, levers, journal, reconciler, put
// together. Loop thread only; nothing waits.
//
// Before anything is changed, what an earlier hvguardd left is put back by `hvguard-limits
// restore`, and the restorer that outlives this process (`watch`) is started. The restorer also
// takes the limits back if tick() was not called for its lease.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <systemd/sd-event.h>

#include "base/helper_process.h"
#include "base/time.h"
#include "enforce/limits_client.h"
#include "enforce/reconciler.h"
#include "enforce/systemd_lever.h"

namespace hvguard::enforce {

struct EnforcerOptions {
  std::string helper_path;     // of hvguard-limits
  std::string runtime_folder;  // of limits.journal: tmpfs, kept over a restart
  std::string cgroup_root = "/sys/fs/cgroup";
  BootId boot_id;
  SystemdLever::Connect connect = open_system_bus;
};

class Enforcer {
 public:
  // `event` outlives it. Fails if the runtime folder cannot be opened.
  static Result<std::unique_ptr<Enforcer>> create(sd_event* event, EnforcerOptions options);
  ~Enforcer();
  Enforcer(const Enforcer&) = delete;
  Enforcer& operator=(const Enforcer&) = delete;

  // Once per tick. With mode kObserve and nothing held it starts no process and connects to nobody;
  // what is held is given back.
  void tick(LimitMode mode,
            const DesiredLimits& desired,
            const std::vector<VmReading>& vms,
            bool write_when_systemd_is_silent,
            BootTime now);
  // Goes on with what can be: between ticks, as often as the loop likes; while stopping.
  void run(BootTime now);
  // From now on nothing is wanted: run() until idle(), or until there is no more time; what is left
  // then is the restorer's.
  void release_all(BootTime now);
  [[nodiscard]] bool idle() const { return reconciler_.idle(); }

  [[nodiscard]] std::vector<Outcome> outcomes() const { return reconciler_.outcomes(); }
  [[nodiscard]] std::uint64_t dropped_count() const { return reconciler_.dropped_count(); }
  // What keeps it from setting limits; empty if nothing does.
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  enum class Stage { kIdle, kRestoring, kLocking, kReady };

  Enforcer(sd_event* event, EnforcerOptions options, DirFd folder);
  void begin();
  void restore_earlier();
  void take_journal();
  void watch_socket();
  [[nodiscard]] bool keep_restorer(BootTime now);

  sd_event* event_;
  DirFd folder_;
  std::vector<std::string> arguments_;
  HelperProcess restore_;
  HelperProcess restorer_;
  LimitsClient client_;
  CgroupLever cgroup_lever_;
  SystemdLever systemd_lever_;
  LeaseJournal journal_;
  Reconciler reconciler_;
  UniqueFd lock_;
  Stage stage_ = Stage::kIdle;
  bool restorer_ready_ = false;
  BootTime restorer_start_;  // the last one
  BootTime first_start_;
  std::string problem_;
  // The helper's socket on the loop, and which it is.
  sd_event_source* source_ = nullptr;
  std::uint64_t watched_start_ = 0;
};

}  // namespace hvguard::enforce
