#include "observe/bpf_sources.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "observe/task_scan.h"

namespace hvguard::observe {
namespace {

constexpr std::string_view kTasksFallback =
    "blocked tasks are read from /proc: killable and frozen ones cannot be told from hung ones, "
    "and there is no start time, stack or lock";
constexpr std::string_view kBlockIoFallback =
    "IO is read from io.stat of each VM's own cgroup: no latency, no errors, nothing in flight, "
    "and nothing for VMs in shared cgroups";
constexpr std::string_view kLifecycleFallback =
    "new VMs are found by process name once a tick and by KVM's uevents";
// A /proc pass may use this share of one CPU.
constexpr int kScanShare = 20;

Candidate as_candidate(const ManagerProcess& process) {
  Candidate candidate;
  candidate.tgid = process.tgid;
  candidate.start = process.start;
  candidate.cgroup = process.cgroup;
  candidate.executable = process.executable;
  candidate.holds_kvm_vm = process.has_kvm;
  return candidate;
}

// Keeps the reader, or why there is none.
template <class Reader>
void keep(Result<Reader> opened, std::optional<Reader>& reader, std::string& error) {
  if (opened) {
    reader.emplace(std::move(*opened));
  } else {
    error = opened.error().message;
  }
}

}  // namespace

BpfSources::BpfSources(const HostRoot& root,
                       bool use,
                       const std::vector<std::string>& executables) {
  if (!use) {
    tasks_error_ = block_io_error_ = lifecycle_error_ = "eBPF is turned off";
    return;
  }
  const BpfSupport support = probe_bpf(root.path());
  explanation_ = support.explanation();
  keep(BlockedTaskReader::open(support), tasks_, tasks_error_);
  keep(BlockIoReader::open(support), block_io_, block_io_error_);
  keep(LifecycleReader::open(support, executables), lifecycle_, lifecycle_error_);
}

void BpfSources::set_executables(const std::vector<std::string>& executables) {
  if (!lifecycle_) {
    return;
  }
  if (const auto done = lifecycle_->set_executables(executables); !done) {
    lifecycle_error_ = done.error().message;
    lifecycle_.reset();
  }
}

int BpfSources::event_fd() const {
  return lifecycle_ ? lifecycle_->event_fd() : -1;
}

BpfSources::Events BpfSources::events() {
  Events sorted;
  auto events = lifecycle_->events();
  if (!events) {
    lifecycle_error_ = events.error().message;
    lifecycle_.reset();
    return sorted;
  }
  for (const auto& event : *events) {
    if (event.type == LifecycleEventType::kExec) {
      sorted.candidates.push_back(as_candidate(event.process));
      sorted.candidates.back().exec_seen = true;
    } else {
      sorted.stop_signals.push_back(event);
    }
  }
  return sorted;
}

std::optional<std::vector<Candidate>> BpfSources::scan() {
  if (!lifecycle_) {
    return std::nullopt;
  }
  const auto processes = lifecycle_->scan();
  if (!processes) {
    lifecycle_error_ = processes.error().message;
    lifecycle_.reset();
    return std::nullopt;
  }
  std::vector<Candidate> candidates;
  for (const auto& process : *processes) {
    candidates.push_back(as_candidate(process));
  }
  return candidates;
}

void BpfSources::set_vms(const std::vector<const VmReading*>& vms, SourceBook& book) {
  for (auto& [vm, present] : known_vms_) {
    present = false;
  }
  for (const VmReading* const vm : vms) {
    if (block_io_) {
      if (const auto done = block_io_->set_vm(vm->id, vm->io_attribution, vm->cgroups); !done) {
        book.gap(Source::kBlockIo, done.error(), to_string(vm->id));
      }
    }
    const bool is_new = known_vms_.insert_or_assign(vm->id, true).second;
    if (is_new && lifecycle_) {
      if (const auto done = lifecycle_->watch(vm->id.tgid, vm->id.start); !done) {
        book.gap(Source::kLifecycle, done.error(), to_string(vm->id));
      }
    }
  }
  std::erase_if(known_vms_, [&](const auto& known) {
    if (!known.second) {
      drop_vm(known.first);
    }
    return !known.second;
  });
}

void BpfSources::drop_vm(const VmId& vm) {
  if (block_io_) {
    block_io_->drop_vm(vm);
  }
  const bool same_process_lives = std::any_of(known_vms_.begin(), known_vms_.end(), [&](auto& one) {
    return one.second && one.first.tgid == vm.tgid;
  });
  if (lifecycle_ && !same_process_lives) {
    lifecycle_->unwatch(vm.tgid);
  }
}

void BpfSources::retain_devices(const std::vector<DeviceReading>& devices) {
  if (!block_io_ || devices.empty()) {
    return;  // an empty list is a failed read, not a host without disks
  }
  std::vector<DeviceId> ids;
  ids.reserve(devices.size());
  for (const auto& device : devices) {
    ids.push_back(device.id);
  }
  block_io_->retain_devices(ids);
}

void BpfSources::read_tasks(const HostRoot& root,
                            std::span<char> buffer,
                            Snapshot& snapshot,
                            SourceBook& book) {
  if (!tasks_) {
    scan_tasks_in_proc(root, buffer, snapshot, book);
    return;
  }
  auto pass = tasks_->pass();
  if (!pass) {
    tasks_error_ = pass.error().message;
    book.blind(Source::kTasks, tasks_error_ + ". Blocked tasks are not watched in this tick");
    return;
  }
  snapshot.tasks = std::move(*pass);
  book.set_dropped(Source::kTasks, tasks_->dropped_count());
  if (explanation_.empty()) {
    book.good(Source::kTasks);
  } else {
    book.degraded(Source::kTasks, explanation_);
  }
}

void BpfSources::scan_tasks_in_proc(const HostRoot& root,
                                    std::span<char> buffer,
                                    Snapshot& snapshot,
                                    SourceBook& book) {
  const BootTime now = snapshot.boot_time;
  if (!next_scan_ || now >= *next_scan_) {
    const BootTime begin = boot_time_now();
    auto scan = scan_tasks(root, buffer, begin);
    if (!scan) {
      book.blind(
          Source::kTasks,
          fmt::format("{}; {}. Blocked tasks are not watched", tasks_error_, scan.error().message));
      return;
    }
    last_scan_ = std::move(scan->pass);
    book.add_dropped(Source::kTasks, scan->dropped_count);
    next_scan_ = now + (boot_time_now() - begin) * kScanShare;
  }
  // Between two passes the last one is shown again, with its own pass_time.
  snapshot.tasks = last_scan_;
  book.degraded(Source::kTasks, fmt::format("{}: {}", tasks_error_, kTasksFallback));
}

void BpfSources::read_io(Snapshot& snapshot, SourceBook& book) {
  if (!block_io_) {
    book.degraded(Source::kBlockIo, fmt::format("{}: {}", block_io_error_, kBlockIoFallback));
    return;
  }
  auto readings = block_io_->read();
  if (!readings) {
    book.blind(Source::kBlockIo, readings.error().message + ". IO of VMs is not watched");
    return;
  }
  snapshot.block_io = std::move(*readings);
  const auto losses = block_io_->losses();
  book.set_dropped(Source::kBlockIo, losses.no_account + losses.no_pending);
  book.good(Source::kBlockIo);
}

void BpfSources::report_lifecycle(SourceBook& book, const std::string& uevent_error) const {
  if (lifecycle_) {
    book.set_dropped(Source::kLifecycle, lifecycle_->dropped_count());
    book.good(Source::kLifecycle);
    return;
  }
  book.degraded(
      Source::kLifecycle,
      uevent_error.empty()
          ? fmt::format("{}: {}", lifecycle_error_, kLifecycleFallback)
          : fmt::format("{}: {}; but {}", lifecycle_error_, kLifecycleFallback, uevent_error));
}

}  // namespace hvguard::observe
