// VmFinder: which processes are VM managers, what is known of them, and when they are gone.
// Sampler thread only. Signs come from outside (eBPF, KVM's uevents) through announce(), and from
// its own scan of /proc; exits come from a pidfd per VM. What needs slow reads goes to the probe.
//
// Life of an entry: announced → probed → shown. It is shown 500 ms after the first sign even if the
// probe has not answered, as "pid-N". Its VmId is fixed at that moment and never changes. A
// candidate whose executable matches nothing and that holds no KVM descriptor is forgotten until
// the next scan.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "model/config.h"
#include "model/snapshot.h"
#include "observe/host_root.h"
#include "observe/probe_client.h"
#include "observe/process_scan.h"
#include "observe/source_book.h"
#include "observe/vm_entry.h"
#include "observe/vm_topology.h"

namespace hvguard::observe {

class VmFinder {
 public:
  // `root` must outlive the finder.
  static Result<VmFinder> make(const HostRoot& root,
                               VmFinderConfig config,
                               const std::string& probe_path);

  void reconfigure(VmFinderConfig config);

  // Becomes readable when a manager has exited or a probe has something: then call run().
  [[nodiscard]] int fd() const { return epoll_.get(); }
  // When run() has something to do even if nothing becomes readable.
  [[nodiscard]] std::optional<BootTime> next_deadline() const;

  void announce(const Candidate& candidate, BootTime now);
  // A signal that ends processes was sent to this one at `time`.
  void stop_signal(Pid tgid, BootTime start, BootTime time);
  // Before the candidates of a scan are announced: whom the last one rejected gets another look.
  void begin_scan();
  // Looks through /proc by name; for when eBPF's scan is not there.
  void scan_proc(ProcessScanner::Depth depth, BootTime now);
  // Looks at what lives in each VM's cgroup. With every rescan; opens files by path.
  void refresh(std::span<char> buffer, BootTime now);
  // Exits, probe answers, deadlines.
  void run(BootTime now);

  // The list of VMs shown has changed since the last fill(), or one was told to end: worth an early
  // tick.
  [[nodiscard]] bool changed() const { return changed_; }
  // A manager has exited, which may have been the launcher of one that needs a scan to be seen.
  [[nodiscard]] bool wants_rescan() const { return wants_rescan_; }
  // A VM came, went or was probed: refresh() before the next fill().
  [[nodiscard]] bool wants_refresh() const { return topology_stale_; }
  // The VMs shown: for whoever counts by VM.
  [[nodiscard]] std::vector<const VmReading*> shown() const;

  // Reads the VMs' cgroup files and writes VMs and departures into the Snapshot. With
  // `with_io_stat` also block IO by io.stat, for when eBPF does not count it.
  struct ReadOptions {
    bool with_settings = false;
    bool with_io_stat = false;
  };
  void fill(Snapshot& snapshot, std::span<char> buffer, ReadOptions options, SourceBook& book);

 private:
  VmFinder(const HostRoot& root, VmFinderConfig config, const std::string& probe_path, UniqueFd fd);

  void add(const Candidate& candidate, std::string comm, UniqueFd pidfd, BootTime now);
  void drop(Pid tgid, BootTime now);
  void take_probe(const ProbeResult& result, BootTime now);
  void take_bus(const ProbeResult& result);
  void request_probe(VmEntry& entry, BootTime now);
  void look_again(VmEntry& entry, BootTime now);
  void request_bus(VmEntry& entry);
  void show(VmEntry& entry);
  void open_cgroup(VmEntry& entry, const std::string& path);
  void poll_exits(BootTime now);
  void check_deadlines(BootTime now);
  void run_process_probes(BootTime now);
  void watch_probes();
  void refresh_vm(VmEntry& entry, TopologyPass& pass, std::span<char> buffer, BootTime now);
  void fill_vm(VmEntry& entry,
               Snapshot& snapshot,
               std::span<char> buffer,
               ReadOptions options,
               SourceBook& book);
  void read_cgroup(VmEntry& entry,
                   VmReading& shown,
                   std::span<char> buffer,
                   bool with_settings,
                   BootTime now,
                   SourceBook& book);
  void fill_io(const VmEntry& entry,
               Snapshot& snapshot,
               std::span<char> buffer,
               SourceBook& book) const;
  void report(SourceBook& book);

  const HostRoot* root_;
  VmFinderConfig config_;
  UniqueFd epoll_;
  // Every process is first tried in the fast lane, whose deadline is short; who is stuck there, or
  // was before, waits in the slow lane with the configured one. So stuck VMs do not delay others.
  std::unique_ptr<ProbeClient> process_probe_;
  std::unique_ptr<ProbeClient> slow_probe_;
  std::unique_ptr<ProbeClient> bus_probe_;
  ProcessScanner scanner_;
  std::map<Pid, VmEntry> entries_;
  std::set<Pid> rejected_;  // until the next scan
  std::vector<VmDeparture> departures_;
  std::optional<BootTime> bus_again_;  // not before this after a failure
  std::string scan_error_;
  bool by_name_alone_ = false;  // the last scan had only names to go by, not open files
  std::uint64_t dropped_count_ = 0;
  bool changed_ = false;
  bool wants_rescan_ = false;
  bool topology_stale_ = false;  // a VM came, went or was probed: judge the cgroups again
};

}  // namespace hvguard::observe
