#include "observe/vm_finder.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/text.h"
#include "observe/cgroupfs.h"

namespace hvguard::observe {
namespace {

constexpr Nanoseconds kBusBackOff = std::chrono::seconds(60);
constexpr Nanoseconds kFastLane = std::chrono::milliseconds(300);
constexpr std::size_t kMaxDepartures = kMaxVms;
constexpr std::size_t kMaxRejected = 65536;
// epoll data of the probes' sockets; PIDs are positive.
constexpr std::uint64_t kProbeReady = 0;

UniqueFd open_pidfd(Pid pid) {
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

bool has_exited(const UniqueFd& pidfd) {
  pollfd poll{pidfd.get(), POLLIN, 0};
  return ::poll(&poll, 1, 0) > 0;
}

bool proc_has(const HostRoot& root, Pid pid) {
  return ::faccessat(root.proc().get(), std::to_string(pid).c_str(), F_OK, 0) == 0;
}

std::optional<BootTime> earliest(std::optional<BootTime> a, std::optional<BootTime> b) {
  return a && b ? std::min(*a, *b) : (a ? a : b);
}

}  // namespace

Result<VmFinder> VmFinder::make(const HostRoot& root,
                                VmFinderConfig config,
                                const std::string& probe_path) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) {
    return fail_errno(errno, "make an epoll descriptor");
  }
  return VmFinder(root, std::move(config), probe_path, std::move(epoll));
}

VmFinder::VmFinder(const HostRoot& root,
                   VmFinderConfig config,
                   const std::string& probe_path,
                   UniqueFd fd)
    : root_(&root),
      config_(std::move(config)),
      epoll_(std::move(fd)),
      process_probe_(std::make_unique<ProbeClient>(ProbeKind::kProcess, probe_path, root.path())),
      slow_probe_(std::make_unique<ProbeClient>(ProbeKind::kProcess, probe_path, root.path())),
      bus_probe_(std::make_unique<ProbeClient>(ProbeKind::kBus, probe_path, root.path())) {}

void VmFinder::reconfigure(VmFinderConfig config) {
  config_ = std::move(config);
  rejected_.clear();
  wants_rescan_ = true;
}

// ---- signs -------------------------------------------------------------------------------------

void VmFinder::announce(const Candidate& candidate, BootTime now) {
  const auto known = entries_.find(candidate.tgid);
  if (known != entries_.end()) {
    auto& entry = known->second;
    if (candidate.holds_kvm_vm && !entry.holds_kvm_vm) {
      entry.holds_kvm_vm = true;
      entry.reading.identity.accelerator = Accelerator::kKvm;
    }
    entry.start = entry.start ? entry.start : candidate.start;
    entry.leaf_cgroup = candidate.cgroup ? candidate.cgroup : entry.leaf_cgroup;
    if (candidate.exec_seen && !entry.probe_pending) {
      request_probe(entry, now);
    }
    return;
  }
  if (candidate.exec_seen || candidate.holds_kvm_vm) {
    rejected_.erase(candidate.tgid);
  }
  if (rejected_.contains(candidate.tgid)) {
    return;
  }
  if (entries_.size() >= kMaxVms) {
    ++dropped_count_;
    return;
  }
  // First the pidfd, then the name: if the process still lives after that, the name is its.
  UniqueFd pidfd = root_->live() ? open_pidfd(candidate.tgid) : UniqueFd();
  if (root_->live() && !pidfd.valid() && errno == ESRCH) {
    return;
  }
  const auto comm = read_comm(*root_, candidate.tgid);
  if (!comm || (pidfd.valid() && has_exited(pidfd))) {
    return;
  }
  const bool named = matches_any_comm(config_.executables, *comm) ||
                     matches_any(config_.executables, candidate.executable);
  if (named || candidate.holds_kvm_vm) {
    add(candidate, *comm, std::move(pidfd), now);
  }
}

void VmFinder::stop_signal(Pid tgid, BootTime start, BootTime time) {
  const auto known = entries_.find(tgid);
  if (known != entries_.end() && known->second.start.value_or(start) == start) {
    known->second.reading.stop_signal_time = time;
    changed_ = true;
  }
}

void VmFinder::add(const Candidate& candidate, std::string comm, UniqueFd pidfd, BootTime now) {
  VmEntry& entry = entries_[candidate.tgid];
  entry.reading.id.tgid = candidate.tgid;
  entry.reading.found_time = now;
  entry.reading.identity.executable =
      safe_text(candidate.executable.empty() ? comm : candidate.executable, 128);
  entry.comm = std::move(comm);
  entry.holds_kvm_vm = candidate.holds_kvm_vm;
  entry.reading.identity.accelerator =
      candidate.holds_kvm_vm ? Accelerator::kKvm : Accelerator::kUnknown;
  entry.start = candidate.start;
  entry.leaf_cgroup = candidate.cgroup;
  entry.pidfd = std::move(pidfd);
  choose_name(entry);
  if (entry.pidfd.valid()) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = static_cast<std::uint64_t>(candidate.tgid);
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, entry.pidfd.get(), &event) != 0) {
      entry.pidfd.reset();  // its exit is then seen by looking
    }
  }
  request_probe(entry, now);
}

void VmFinder::drop(Pid tgid, BootTime now) {
  const auto found = entries_.find(tgid);
  if (found == entries_.end()) {
    return;
  }
  const auto& reading = found->second.reading;
  if (found->second.visible) {
    changed_ = true;
    topology_stale_ = true;
    if (departures_.size() < kMaxDepartures) {
      departures_.push_back({reading.id, reading.identity.name, now});
    }
  }
  process_probe_->cancel(tgid);
  slow_probe_->cancel(tgid);
  bus_probe_->cancel(tgid);
  entries_.erase(found);
}

// ---- probes ------------------------------------------------------------------------------------

void VmFinder::request_probe(VmEntry& entry, BootTime now) {
  entry.last_probe = now;
  entry.probe_again.reset();
  auto& probe = entry.failed_probes > 0 ? slow_probe_ : process_probe_;
  entry.probe_pending = probe->request(entry.reading.id.tgid, {});
  if (!entry.probe_pending) {
    ++dropped_count_;
  }
}

// Its cgroup is not where it was. Spaced out, since a cgroup that never lists its manager (a
// threaded one) would otherwise be looked up with every tick.
void VmFinder::look_again(VmEntry& entry, BootTime now) {
  if (!entry.probe_pending && !entry.probe_again) {
    entry.bus_asked = false;
    entry.probe_again = std::max(now, entry.last_probe.value_or(now) + probe_back_off(1));
  }
}

void VmFinder::request_bus(VmEntry& entry) {
  if (!root_->live() || entry.bus_asked) {
    return;
  }
  const auto& identity = entry.reading.identity;
  // Units of a user's own manager are unknown to PID 1.
  const bool of_user = unit_of(identity.cgroup_path).of_user_manager;
  entry.bus_asked =
      bus_probe_->request(entry.reading.id.tgid, of_user ? std::string() : identity.unit);
}

void VmFinder::take_probe(const ProbeResult& result, BootTime now) {
  const auto found = entries_.find(result.tgid);
  if (found == entries_.end()) {
    return;
  }
  auto& entry = found->second;
  entry.probe_pending = false;
  if (result.gone) {
    drop(result.tgid, now);
    return;
  }
  if (!is_vm_manager(entry, result, config_)) {
    if (rejected_.size() < kMaxRejected) {
      rejected_.insert(result.tgid);
    }
    drop(result.tgid, now);
    return;
  }
  apply_probe(entry, result);
  if (result.error.empty()) {
    entry.failed_probes = 0;
  } else {
    ++entry.failed_probes;
    entry.probe_again = now + probe_back_off(entry.failed_probes);
  }
  if (result.cgroup_path && !result.cgroup_path->empty()) {
    open_cgroup(entry, std::string(unit_of(*result.cgroup_path).path));
  }
  show(entry);
  changed_ = true;
  topology_stale_ = true;
  if (!bus_again_ || now >= *bus_again_) {
    request_bus(entry);
  }
}

void VmFinder::take_bus(const ProbeResult& result) {
  const auto found = entries_.find(result.tgid);
  if (found == entries_.end()) {
    return;
  }
  auto& entry = found->second;
  if (!result.kill_mode.empty() || !result.machine_name.empty()) {
    apply_bus(entry, result);
    changed_ = true;
  }
  entry.bus_asked = result.error.empty();
}

void VmFinder::show(VmEntry& entry) {
  if (!entry.visible) {
    fix_identity(entry);
    // What its IO is counted by until its cgroup has been judged.
    entry.reading.io_attribution = IoAttribution::kSubmitter;
    entry.visible = true;
    changed_ = true;
    topology_stale_ = true;
  }
}

void VmFinder::open_cgroup(VmEntry& entry, const std::string& path) {
  entry.cgroup.reset();
  entry.cgroup_error.clear();
  if (root_->cgroup() == nullptr) {
    return;
  }
  auto cgroup = VmCgroup::open(*root_->cgroup(), path);
  if (cgroup) {
    entry.cgroup.emplace(std::move(*cgroup));
  } else {
    entry.cgroup_error = cgroup.error().message;
  }
}

// ---- events ------------------------------------------------------------------------------------

// Each time: a new probe's socket may have the number of the one before, whose end took it out of
// the set. Adding what is there already fails and costs nothing.
void VmFinder::watch_probes() {
  for (const auto* const probe : {&process_probe_, &slow_probe_, &bus_probe_}) {
    if ((*probe)->fd() >= 0) {
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = kProbeReady;
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, (*probe)->fd(), &event);
    }
  }
}

void VmFinder::poll_exits(BootTime now) {
  std::array<epoll_event, 256> events{};
  const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), 0);
  for (int i = 0; i < count; ++i) {
    const auto key = events.at(static_cast<std::size_t>(i)).data.u64;
    if (key != kProbeReady) {
      // A launcher that daemonizes leaves a child that never calls exec.
      wants_rescan_ = true;
      drop(static_cast<Pid>(key), now);
    }
  }
}

void VmFinder::check_deadlines(BootTime now) {
  std::vector<Pid> gone;
  for (auto& [tgid, entry] : entries_) {
    if (!entry.pidfd.valid() && !proc_has(*root_, tgid)) {
      gone.push_back(tgid);
      continue;
    }
    if (!entry.visible && now >= entry.reading.found_time + kShowAfter) {
      show(entry);
    }
    if (entry.probe_again && now >= *entry.probe_again) {
      request_probe(entry, now);
    }
  }
  for (const Pid tgid : gone) {
    wants_rescan_ = true;
    drop(tgid, now);
  }
}

void VmFinder::run_process_probes(BootTime now) {
  for (const auto& result : process_probe_->run(now, std::min(config_.probe_timeout, kFastLane))) {
    const auto entry = entries_.find(result.tgid);
    if (!result.timed_out || entry == entries_.end()) {
      take_probe(result, now);
    } else if (!slow_probe_->request(result.tgid, {})) {
      entry->second.probe_pending = false;
      ++dropped_count_;
    }
  }
  for (const auto& result : slow_probe_->run(now, config_.probe_timeout)) {
    take_probe(result, now);
  }
}

void VmFinder::run(BootTime now) {
  poll_exits(now);
  check_deadlines(now);
  run_process_probes(now);
  for (const auto& result : bus_probe_->run(now, config_.probe_timeout)) {
    if (result.timed_out || !result.error.empty()) {
      bus_again_ = now + kBusBackOff;
    }
    take_bus(result);
  }
  watch_probes();
}

std::optional<BootTime> VmFinder::next_deadline() const {
  auto next = earliest(process_probe_->next_deadline(), bus_probe_->next_deadline());
  next = earliest(next, slow_probe_->next_deadline());
  for (const auto& [tgid, entry] : entries_) {
    if (!entry.visible) {
      next = earliest(next, entry.reading.found_time + kShowAfter);
    }
    next = earliest(next, entry.probe_again);
  }
  return next;
}

// ---- scans -------------------------------------------------------------------------------------

void VmFinder::begin_scan() {
  wants_rescan_ = false;
  rejected_.clear();
  by_name_alone_ = false;
}

void VmFinder::scan_proc(ProcessScanner::Depth depth, BootTime now) {
  by_name_alone_ |= depth == ProcessScanner::Depth::kFull;
  const auto scan = scanner_.scan(*root_, config_.executables, depth);
  if (!scan) {
    scan_error_ = scan.error().message;
    return;
  }
  scan_error_.clear();
  dropped_count_ += scan->truncated ? 1U : 0U;
  for (const auto& match : scan->matches) {
    Candidate candidate;
    candidate.tgid = match.pid;
    announce(candidate, now);
  }
}

void VmFinder::refresh_vm(VmEntry& entry,
                          TopologyPass& pass,
                          std::span<char> buffer,
                          BootTime now) {
  auto& reading = entry.reading;
  entry.cgroup->open_missing();
  auto view = pass.look(*entry.cgroup, reading.id.tgid, buffer);
  if (!view) {
    return;  // gone: the next read of its files says so
  }
  reading.topology = std::move(view->topology);
  reading.cgroups = std::move(view->cgroups);
  reading.io_attribution = attribution_of(reading);
  if (!view->holds_manager) {
    look_again(entry, now);
  }
}

void VmFinder::refresh(std::span<char> buffer, BootTime now) {
  topology_stale_ = false;
  TopologyPass pass(*root_, [this](Pid pid) {
    const auto found = entries_.find(pid);
    return found != entries_.end() && found->second.visible;
  });
  for (auto& [tgid, entry] : entries_) {
    if (!entry.visible) {
      continue;
    }
    if (entry.cgroup) {
      refresh_vm(entry, pass, buffer, now);
    }
    if (bus_again_ && now >= *bus_again_ && entry.reading.identity.probed) {
      request_bus(entry);
    }
  }
}

}  // namespace hvguard::observe
