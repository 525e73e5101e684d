#include "enforce/enforcer.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>

namespace hvguard::enforce {
namespace {

constexpr Nanoseconds kRestorerRetry = std::chrono::seconds(5);
// How long limits wait for the restorer to say that it is there. Without it ExecStopPost restores.
constexpr Nanoseconds kRestorerPatience = std::chrono::seconds(3);

std::vector<std::string> with(std::string mode, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), std::move(mode));
  return arguments;
}

enum class Sign { kNone, kSaidSomething, kEnded };

Sign sign_of(int fd) {
  std::array<char, 16> said{};
  const ssize_t size = ::recv(fd, said.data(), said.size(), MSG_DONTWAIT);
  if (size > 0) {
    return Sign::kSaidSomething;
  }
  return size < 0 && (errno == EAGAIN || errno == EINTR) ? Sign::kNone : Sign::kEnded;
}

}  // namespace

Result<std::unique_ptr<Enforcer>> Enforcer::create(sd_event* event, EnforcerOptions options) {
  auto folder = DirFd::open(options.runtime_folder);
  if (!folder) {
    return fail(std::move(folder).error().context("lease journal"));
  }
  return std::unique_ptr<Enforcer>(new Enforcer(event, std::move(options), *std::move(folder)));
}

Enforcer::Enforcer(sd_event* event, EnforcerOptions options, DirFd folder)
    : event_(event),
      folder_(std::move(folder)),
      arguments_({"--runtime-dir", options.runtime_folder, "--cgroup-root", options.cgroup_root}),
      restore_(options.helper_path, with("restore", arguments_)),
      restorer_(options.helper_path, with("watch", arguments_)),
      client_(options.helper_path, arguments_),
      cgroup_lever_(client_),
      systemd_lever_(event, std::move(options.connect)),
      journal_(folder_, std::move(options.boot_id)),
      reconciler_({&systemd_lever_, &cgroup_lever_, &cgroup_lever_, &journal_}) {
  // What an earlier run left is put back in any mode.
  const auto left = load_journal(folder_);
  if (!left || !left->records.empty() || !left->damage.empty()) {
    restore_earlier();
  }
}

Enforcer::~Enforcer() {
  sd_event_source_disable_unref(source_);
  restorer_.let_go();  // its end of the socket tells it that we are gone
}

void Enforcer::restore_earlier() {
  stage_ = restore_.start() ? Stage::kRestoring : Stage::kLocking;
  problem_ = stage_ == Stage::kRestoring ? "limits of an earlier run are being put back"
                                         : restore_.error();
}

void Enforcer::begin() {
  if (stage_ == Stage::kIdle) {
    stage_ = Stage::kLocking;
  }
  if (stage_ == Stage::kRestoring && sign_of(restore_.fd()) == Sign::kEnded) {
    restore_.let_go();
    stage_ = Stage::kLocking;
  }
  restore_.reap();
  if (stage_ == Stage::kLocking) {
    take_journal();
  }
}

// What a restorer could not put back stays in the journal, and is tried again at our end.
void Enforcer::take_journal() {
  auto lock = lock_journal(folder_, LOCK_SH | LOCK_NB);
  if (!lock) {
    problem_ = "an earlier restorer is still at work: " + lock.error().message;
    return;
  }
  const auto left = load_journal(folder_);
  if (!left) {
    problem_ = left.error().message;
    return;
  }
  lock_ = *std::move(lock);
  journal_.adopt(*left);
  stage_ = Stage::kReady;
  problem_.clear();
}

void Enforcer::tick(LimitMode mode,
                    const DesiredLimits& desired,
                    const std::vector<VmReading>& vms,
                    bool write_when_systemd_is_silent,
                    BootTime now) {
  const bool wanted =
      mode == LimitMode::kEnforce &&
      (!vms.empty() || std::ranges::any_of(desired, [](const Limit& l) { return !l.dry_run; }));
  if (stage_ == Stage::kRestoring || (wanted && stage_ != Stage::kReady)) {
    begin();
  }
  if (stage_ != Stage::kReady || (!wanted && !restorer_.running())) {
    return;
  }
  if (!keep_restorer(now) || (!wanted && reconciler_.idle())) {
    return;
  }
  std::vector<LimitTarget> targets;
  targets.reserve(vms.size());
  for (const VmReading& vm : vms) {
    targets.push_back(target_of(vm));
  }
  systemd_lever_.run(now);
  reconciler_.reconcile(mode == LimitMode::kEnforce ? desired : DesiredLimits{},
                        targets,
                        {.write_when_systemd_is_silent = write_when_systemd_is_silent,
                         .arm_io = mode == LimitMode::kEnforce},
                        now);
  run(now);
}

void Enforcer::run(BootTime now) {
  if (stage_ != Stage::kReady) {
    return;
  }
  systemd_lever_.run(now);
  client_.run(now);
  reconciler_.drive(now);
  watch_socket();
}

void Enforcer::release_all(BootTime now) {
  if (stage_ == Stage::kReady) {
    reconciler_.release_all(now);
    run(now);
  }
}

// The helper's socket changes when it is started again.
void Enforcer::watch_socket() {
  if (client_.start_count() == watched_start_ && (client_.fd() >= 0) == (source_ != nullptr)) {
    return;
  }
  sd_event_source_disable_unref(std::exchange(source_, nullptr));
  watched_start_ = client_.start_count();
  if (client_.fd() >= 0) {
    const auto on_answer = [](sd_event_source*, int, std::uint32_t, void* data) {
      static_cast<Enforcer*>(data)->run(boot_time_now());
      return 0;
    };
    // Without it answers are found with the next tick.
    static_cast<void>(sd_event_add_io(event_, &source_, client_.fd(), EPOLLIN, on_answer, this));
  }
}

// False: it is about to be there, and nothing is to be changed before.
bool Enforcer::keep_restorer(BootTime now) {
  if (restorer_.running()) {
    const Sign sign = sign_of(restorer_.fd());
    restorer_ready_ |= sign == Sign::kSaidSomething;
    if (sign == Sign::kEnded) {
      restorer_.ended();
      restorer_ready_ = false;
    }
  }
  if (!restorer_.running() && now >= restorer_start_ + kRestorerRetry) {
    restorer_start_ = now;
    first_start_ = first_start_ == BootTime{} ? now : first_start_;
    static_cast<void>(restorer_.start());
  }
  if (restorer_.running()) {
    static_cast<void>(::send(restorer_.fd(), "+", 1, MSG_DONTWAIT | MSG_NOSIGNAL));
  }
  if (restorer_ready_) {
    problem_.clear();
    return true;
  }
  problem_ = restorer_.error().empty() ? "the restorer is being started"
                                       : "no restorer: " + restorer_.error();
  return now >= first_start_ + kRestorerPatience;
}

}  // namespace hvguard::enforce
