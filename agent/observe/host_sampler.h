// HostSampler: everything that is read, in the order of one tick. Used by the sampler's thread
// alone, which gives it the times and its events; tests drive it without a thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/snapshot.h"
#include "observe/bpf_sources.h"
#include "observe/device_reader.h"
#include "observe/host_reader.h"
#include "observe/host_root.h"
#include "observe/kvm_uevents.h"
#include "observe/previous_boot_input.h"
#include "observe/source_book.h"
#include "observe/swap_reader.h"
#include "observe/vm_finder.h"

namespace hvguard::observe {

class HostSampler {
 public:
  // Told before each read that could be slow: what is about to be read.
  using Note = std::function<void(std::string_view reading)>;

  // `previous_boot` must outlive it.
  static Result<std::unique_ptr<HostSampler>> make(HostRoot root,
                                                   SamplerConfig sampler,
                                                   VmFinderConfig vm_finder,
                                                   const std::string& probe_path,
                                                   PreviousBootInput& previous_boot,
                                                   Note note);

  void reconfigure(SamplerConfig sampler, VmFinderConfig vm_finder);

  // To poll for reading; call handle_events() when one is ready. Invalid ones are -1. The list may
  // change with reconfigure() and handle_events().
  [[nodiscard]] std::vector<int> event_fds() const;
  void handle_events(BootTime now);
  [[nodiscard]] std::optional<BootTime> next_deadline() const { return finder_.next_deadline(); }
  // VMs have come, gone, or been probed since the last Snapshot.
  [[nodiscard]] bool wants_early_tick() const { return finder_.changed(); }

  [[nodiscard]] std::shared_ptr<const Snapshot> read(std::uint64_t tick);

 private:
  HostSampler(std::unique_ptr<HostRoot> root,
              SamplerConfig sampler,
              VmFinderConfig vm_finder,
              VmFinder finder,
              BootId boot_id,
              PreviousBootInput& previous_boot,
              Note note);
  void open_bpf();
  void rescan(BootTime now);
  void scan_for_vms(BootTime now);
  void rescan_if_due(BootTime now);
  void refresh_if_due(BootTime now);
  void announce(const std::vector<Candidate>& candidates, BootTime now);
  void look_for_new_processes(BootTime now);

  std::unique_ptr<HostRoot> root_;  // its address is kept by the finder
  SamplerConfig config_;
  VmFinderConfig vm_finder_config_;
  BootId boot_id_;
  PreviousBootInput& previous_boot_;
  Note note_;
  std::vector<char> buffer_;
  SourceBook book_;
  HostReader host_;
  SwapReader swap_;
  DeviceReader devices_;
  VmFinder finder_;
  std::optional<BpfSources> bpf_;
  std::optional<KvmUevents> uevents_;
  std::string uevent_error_;
  std::optional<BootTime> next_rescan_;
  std::optional<BootTime> last_scan_;
  std::optional<BootTime> last_refresh_;
  std::optional<Pid> newest_pid_seen_;
  bool settings_due_ = true;
};

}  // namespace hvguard::observe
