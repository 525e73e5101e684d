#include "observe/host_sampler.h"

#include <utility>

namespace hvguard::observe {
namespace {

// Of the largest file that is read whole: /proc/diskstats with 2000 disks. Pages that are never
// touched cost nothing.
constexpr std::size_t kBufferBytes = std::size_t{512} << 10;
// VMs that come and go by the dozen must not make each early tick a search.
constexpr Nanoseconds kMinimumScanDistance = std::chrono::seconds(1);
constexpr Nanoseconds kMinimumRefreshDistance = std::chrono::milliseconds(400);

}  // namespace

Result<std::unique_ptr<HostSampler>> HostSampler::make(HostRoot root,
                                                       SamplerConfig sampler,
                                                       VmFinderConfig vm_finder,
                                                       const std::string& probe_path,
                                                       PreviousBootInput& previous_boot,
                                                       Note note) {
  auto kept_root = std::make_unique<HostRoot>(std::move(root));
  auto boot_id = read_boot_id(*kept_root);
  if (!boot_id) {
    return fail(std::move(boot_id).error());
  }
  auto finder = VmFinder::make(*kept_root, vm_finder, probe_path);
  if (!finder) {
    return fail(std::move(finder).error());
  }
  return std::unique_ptr<HostSampler>(new HostSampler(std::move(kept_root),
                                                      sampler,
                                                      std::move(vm_finder),
                                                      std::move(*finder),
                                                      std::move(*boot_id),
                                                      previous_boot,
                                                      std::move(note)));
}

HostSampler::HostSampler(std::unique_ptr<HostRoot> root,
                         SamplerConfig sampler,
                         VmFinderConfig vm_finder,
                         VmFinder finder,
                         BootId boot_id,
                         PreviousBootInput& previous_boot,
                         Note note)
    : root_(std::move(root)),
      config_(sampler),
      vm_finder_config_(std::move(vm_finder)),
      boot_id_(std::move(boot_id)),
      previous_boot_(previous_boot),
      note_(std::move(note)),
      buffer_(kBufferBytes),
      host_(*root_),
      devices_(*root_),
      finder_(std::move(finder)) {
  open_bpf();
  if (!root_->live()) {
    uevent_error_ = "this is not the machine's own /proc";
  } else if (auto uevents = KvmUevents::open()) {
    uevents_.emplace(std::move(*uevents));
  } else {
    uevent_error_ = uevents.error().message;
  }
}

void HostSampler::open_bpf() {
  note_("loading eBPF programs");
  bpf_.emplace(*root_, config_.use_bpf && root_->live(), vm_finder_config_.executables);
}

void HostSampler::reconfigure(SamplerConfig sampler, VmFinderConfig vm_finder) {
  const bool use_changed = sampler.use_bpf != config_.use_bpf;
  config_ = sampler;
  vm_finder_config_ = std::move(vm_finder);
  finder_.reconfigure(vm_finder_config_);
  if (use_changed) {
    open_bpf();
  } else {
    bpf_->set_executables(vm_finder_config_.executables);
  }
  next_rescan_.reset();
}

std::vector<int> HostSampler::event_fds() const {
  return {finder_.fd(), bpf_->event_fd(), uevents_ ? uevents_->fd() : -1};
}

void HostSampler::announce(const std::vector<Candidate>& candidates, BootTime now) {
  for (const auto& candidate : candidates) {
    finder_.announce(candidate, now);
  }
}

void HostSampler::handle_events(BootTime now) {
  note_("VM events");
  if (bpf_->event_fd() >= 0) {
    const BpfSources::Events events = bpf_->events();
    announce(events.candidates, now);
    for (const LifecycleEvent& event : events.stop_signals) {
      finder_.stop_signal(event.process.tgid, event.process.start, event.time);
    }
  }
  if (uevents_) {
    const auto batch = uevents_->read();
    for (const auto& event : batch.events) {
      if (event.created) {
        Candidate candidate;
        candidate.tgid = event.pid;
        candidate.holds_kvm_vm = true;
        finder_.announce(candidate, now);
      }
    }
    if (batch.lost) {
      next_rescan_.reset();
    }
  }
  finder_.run(now);
}

void HostSampler::scan_for_vms(BootTime now) {
  last_scan_ = now;
  note_("search for VM managers");
  finder_.begin_scan();
  if (const auto candidates = bpf_->scan()) {
    announce(*candidates, now);
  } else {
    finder_.scan_proc(ProcessScanner::Depth::kFull, now);
  }
  finder_.run(now);
}

void HostSampler::rescan(BootTime now) {
  next_rescan_ = now + config_.rescan_interval;
  scan_for_vms(now);
  note_("search for devices and cgroups");
  host_.open_missing(*root_);
  devices_.rescan(*root_);
  swap_.rescan();
  finder_.refresh(buffer_, now);
  last_refresh_ = now;
  settings_due_ = true;
}

void HostSampler::rescan_if_due(BootTime now) {
  if (!next_rescan_ || now >= *next_rescan_) {
    rescan(now);
  } else if (finder_.wants_rescan() && now >= *last_scan_ + kMinimumScanDistance) {
    scan_for_vms(now);
  }
}

void HostSampler::refresh_if_due(BootTime now) {
  if (finder_.wants_refresh() && now >= *last_refresh_ + kMinimumRefreshDistance) {
    note_("cgroups of VMs");
    finder_.refresh(buffer_, now);
    last_refresh_ = now;
  }
}

// Without exec events: a changed newest PID tells that a look is worth it.
void HostSampler::look_for_new_processes(BootTime now) {
  if (bpf_->event_fd() >= 0 || (host_.newest_pid() && host_.newest_pid() == newest_pid_seen_)) {
    return;
  }
  newest_pid_seen_ = host_.newest_pid();
  finder_.scan_proc(ProcessScanner::Depth::kLight, now);
  finder_.run(now);
}

std::shared_ptr<const Snapshot> HostSampler::read(std::uint64_t tick) {
  auto snapshot = std::make_shared<Snapshot>();
  const BootTime begin = boot_time_now();
  snapshot->boot_time = begin;
  snapshot->wall_time = wall_time_now();
  snapshot->boot_id = boot_id_;
  snapshot->tick = tick;
  snapshot->interval = config_.interval;
  book_.begin_tick(begin);

  rescan_if_due(begin);
  note_("/proc of the host");
  host_.read(buffer_, snapshot->host, snapshot->self, book_);
  swap_.read(*root_, buffer_, snapshot->host, book_);
  look_for_new_processes(begin);
  refresh_if_due(begin);
  note_("disks");
  snapshot->devices = devices_.read(*root_, buffer_, book_);
  note_("blocked tasks");
  bpf_->read_tasks(*root_, buffer_, *snapshot, book_);
  note_("block IO");
  bpf_->set_vms(finder_.shown(), book_);
  if (settings_due_) {
    bpf_->retain_devices(snapshot->devices);
  }
  bpf_->read_io(*snapshot, book_);
  note_("cgroup files of VMs");
  finder_.fill(*snapshot, buffer_, {settings_due_, !bpf_->counts_io()}, book_);
  settings_due_ = false;
  bpf_->report_lifecycle(book_, uevent_error_);
  previous_boot_.fill(begin, *snapshot, book_);
  book_.fill(*snapshot);
  snapshot->read_duration = boot_time_now() - begin;
  return snapshot;
}

}  // namespace hvguard::observe
