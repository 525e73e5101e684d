// BpfSources: the three eBPF readers as far as this host lets us have them, and for each the /proc
// or cgroup fallback that takes its place. Sampler thread only.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/time.h"
#include "model/snapshot.h"
#include "observe/ebpf/block_io.h"
#include "observe/ebpf/lifecycle.h"
#include "observe/ebpf/tasks.h"
#include "observe/host_root.h"
#include "observe/source_book.h"
#include "observe/vm_entry.h"

namespace hvguard::observe {

class BpfSources {
 public:
  // `use` false: by configuration, or because the tree is a fixture. Opening loads programs and
  // takes some hundred milliseconds.
  BpfSources(const HostRoot& root, bool use, const std::vector<std::string>& executables);

  void set_executables(const std::vector<std::string>& executables);

  // Readable when a VM manager may have started or was told to end; -1 without eBPF.
  [[nodiscard]] int event_fd() const;
  struct Events {
    std::vector<Candidate> candidates;
    std::vector<LifecycleEvent> stop_signals;
  };
  [[nodiscard]] Events events();
  // All VM managers of the host; none if eBPF cannot tell.
  [[nodiscard]] std::optional<std::vector<Candidate>> scan();

  [[nodiscard]] bool counts_io() const { return block_io_.has_value(); }
  // Tells the readers which VMs there are and how their IO is known.
  void set_vms(const std::vector<const VmReading*>& vms, SourceBook& book);
  void retain_devices(const std::vector<DeviceReading>& devices);

  void read_tasks(const HostRoot& root,
                  std::span<char> buffer,
                  Snapshot& snapshot,
                  SourceBook& book);
  void read_io(Snapshot& snapshot, SourceBook& book);
  void report_lifecycle(SourceBook& book, const std::string& uevent_error) const;

 private:
  void drop_vm(const VmId& vm);
  void scan_tasks_in_proc(const HostRoot& root,
                          std::span<char> buffer,
                          Snapshot& snapshot,
                          SourceBook& book);

  std::string explanation_;
  std::optional<BlockedTaskReader> tasks_;
  std::optional<BlockIoReader> block_io_;
  std::optional<LifecycleReader> lifecycle_;
  std::string tasks_error_;
  std::string block_io_error_;
  std::string lifecycle_error_;

  std::map<VmId, bool> known_vms_;  // value: still there at the last set_vms()
  std::optional<TaskPass> last_scan_;
  std::optional<BootTime> next_scan_;
};

}  // namespace hvguard::observe
