#include "observe/sampler.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "observe/host_sampler.h"
#include "observe/thread_state.h"
#include "observe/tick_schedule.h"

namespace hvguard::observe {
namespace {

constexpr Nanoseconds kStopDeadline = std::chrono::seconds(1);

void drain(const UniqueFd& fd) {
  std::uint64_t value = 0;
  while (::read(fd.get(), &value, sizeof value) < 0 && errno == EINTR) {
  }
}

void arm(const UniqueFd& timer, BootTime when) {
  itimerspec spec{};
  // Zero would disarm it.
  const auto at = std::max<std::int64_t>(when.since_boot.count(), 1);
  spec.it_value.tv_sec = at / 1000000000;
  spec.it_value.tv_nsec = at % 1000000000;
  ::timerfd_settime(timer.get(), TFD_TIMER_ABSTIME, &spec, nullptr);
}

Result<> watch(const UniqueFd& epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) != 0 && errno != EEXIST) {
    return fail_errno(errno, "watch a descriptor");
  }
  return {};
}

}  // namespace

// Shared by the Sampler and its thread, so that a thread that is stuck in a read can be left
// behind without freeing what it uses.
class Sampler::Worker {
 public:
  Worker(SamplerOptions options, Deliver deliver)
      : options_(std::move(options)),
        config_{options_.sampler, options_.vm_finder},
        deliver_(std::move(deliver)) {}

  Result<> prepare();
  void run();  // the thread

  void reconfigure(SamplerConfig sampler, VmFinderConfig vm_finder);
  void set_spool_report(SpoolReport report) { previous_boot_.set(std::move(report)); }
  [[nodiscard]] Breadcrumb breadcrumb() const;
  [[nodiscard]] bool in_uninterruptible_sleep() const;
  bool stop(Nanoseconds deadline);

  std::thread thread;

 private:
  struct Configuration {
    SamplerConfig sampler;
    VmFinderConfig vm_finder;
  };

  void wake() const;
  void note(std::string_view reading);
  void loop(HostSampler& host);
  void wait(const HostSampler& host, const TickSchedule& schedule);
  void watch_events(const HostSampler& host);
  [[nodiscard]] std::optional<Configuration> take_configuration();
  [[nodiscard]] bool stopping() const;
  void deliver(std::shared_ptr<const Snapshot> snapshot);

  const SamplerOptions options_;
  PreviousBootInput previous_boot_;
  std::optional<HostRoot> root_;
  UniqueFd epoll_;
  UniqueFd wake_;
  UniqueFd timer_;
  std::vector<int> watched_;

  mutable std::mutex mutex_;
  std::condition_variable finished_changed_;
  Configuration config_;
  bool config_changed_ = false;
  bool stopping_ = false;
  bool finished_ = false;
  Breadcrumb breadcrumb_;
  std::optional<ThreadState> thread_state_;
  Deliver deliver_;
};

Result<> Sampler::Worker::prepare() {
  auto root = HostRoot::open(options_.root);
  if (!root) {
    return fail(std::move(root).error());
  }
  root_.emplace(std::move(*root));
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  timer_.reset(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!epoll_.valid() || !wake_.valid() || !timer_.valid()) {
    return fail_errno(errno, "make the sampler's descriptors");
  }
  for (const auto* const fd : {&wake_, &timer_}) {
    if (auto done = watch(epoll_, fd->get()); !done) {
      return done;
    }
  }
  return {};
}

void Sampler::Worker::note(std::string_view reading) {
  const std::lock_guard lock(mutex_);
  breadcrumb_.reading.assign(reading);
  breadcrumb_.since = boot_time_now();
}

Breadcrumb Sampler::Worker::breadcrumb() const {
  const std::lock_guard lock(mutex_);
  return breadcrumb_;
}

bool Sampler::Worker::in_uninterruptible_sleep() const {
  const std::lock_guard lock(mutex_);
  return thread_state_ && thread_state_->uninterruptible();
}

bool Sampler::Worker::stopping() const {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

std::optional<Sampler::Worker::Configuration> Sampler::Worker::take_configuration() {
  const std::lock_guard lock(mutex_);
  return std::exchange(config_changed_, false) ? std::optional(config_) : std::nullopt;
}

void Sampler::Worker::wake() const {
  const std::uint64_t one = 1;
  while (::write(wake_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void Sampler::Worker::reconfigure(SamplerConfig sampler, VmFinderConfig vm_finder) {
  {
    const std::lock_guard lock(mutex_);
    config_ = {sampler, std::move(vm_finder)};
    config_changed_ = true;
  }
  wake();
}

bool Sampler::Worker::stop(Nanoseconds deadline) {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake();
  std::unique_lock lock(mutex_);
  // wait_until on the system clock: libstdc++ 12 waits on the steady clock through a call that
  // TSan does not know.
  const auto until = std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(wall_time_now().since_epoch +
                                                                      deadline));
  const bool done = finished_changed_.wait_until(lock, until, [&] { return finished_; });
  lock.unlock();
  if (thread.joinable()) {
    if (done) {
      thread.join();
    } else {
      thread.detach();
    }
  }
  return done;
}

void Sampler::Worker::deliver(std::shared_ptr<const Snapshot> snapshot) {
  if (!stopping()) {
    deliver_(std::move(snapshot));
  }
}

void Sampler::Worker::watch_events(const HostSampler& host) {
  const auto fds = host.event_fds();
  if (fds == watched_) {
    return;
  }
  for (const int fd : fds) {
    if (fd >= 0) {
      // A descriptor that cannot be watched makes events late by a tick, no more.
      static_cast<void>(watch(epoll_, fd));
    }
  }
  watched_ = fds;
}

void Sampler::Worker::wait(const HostSampler& host, const TickSchedule& schedule) {
  BootTime until = schedule.next_wake(host.wants_early_tick());
  if (const auto deadline = host.next_deadline()) {
    until = std::min(until, *deadline);
  }
  arm(timer_, until);
  note("waiting");
  std::array<epoll_event, 8> events{};
  ::epoll_wait(epoll_.get(), events.data(), events.size(), -1);
  drain(timer_);
  drain(wake_);
}

void Sampler::Worker::loop(HostSampler& host) {
  TickSchedule schedule(boot_time_now(), options_.sampler.interval);
  while (!stopping()) {
    if (auto configuration = take_configuration()) {
      schedule.set_interval(configuration->sampler.interval, boot_time_now());
      host.reconfigure(configuration->sampler, std::move(configuration->vm_finder));
      watched_.clear();  // new descriptors may have old numbers
    }
    host.handle_events(boot_time_now());
    watch_events(host);
    if (const auto tick = schedule.take(boot_time_now(), host.wants_early_tick())) {
      deliver(host.read(*tick));
    }
    wait(host, schedule);
  }
}

void Sampler::Worker::run() {
  if (auto state = ThreadState::of_this_thread()) {
    const std::lock_guard lock(mutex_);
    thread_state_ = *std::move(state);
  }
  // The sampler is made here: opening eBPF takes long, and the probe's children are this thread's.
  auto host = HostSampler::make(std::move(*root_),
                                options_.sampler,
                                options_.vm_finder,
                                options_.probe_path,
                                previous_boot_,
                                [this](std::string_view reading) { note(reading); });
  if (host) {
    loop(**host);
    host->reset();
  } else {
    note("failed to start: " + host.error().message);
  }
  const std::lock_guard lock(mutex_);
  finished_ = true;
  finished_changed_.notify_all();
}

Result<std::unique_ptr<Sampler>> Sampler::start(SamplerOptions options, Deliver deliver) {
  auto worker = std::make_shared<Worker>(std::move(options), std::move(deliver));
  if (auto done = worker->prepare(); !done) {
    return fail(std::move(done).error().context("start the sampler"));
  }
  try {
    worker->thread = std::thread([worker] { worker->run(); });
  } catch (const std::system_error& error) {
    return fail_errno(error.code().value(), "start the sampler's thread");
  }
  return std::unique_ptr<Sampler>(new Sampler(std::move(worker)));
}

Sampler::Sampler(std::shared_ptr<Worker> worker) : worker_(std::move(worker)) {}

Sampler::~Sampler() {
  stop(kStopDeadline);
}

void Sampler::reconfigure(SamplerConfig sampler, VmFinderConfig vm_finder) {
  worker_->reconfigure(sampler, std::move(vm_finder));
}

void Sampler::set_spool_report(SpoolReport report) {
  worker_->set_spool_report(std::move(report));
}

Breadcrumb Sampler::breadcrumb() const {
  return worker_->breadcrumb();
}

bool Sampler::in_uninterruptible_sleep() const {
  return worker_->in_uninterruptible_sleep();
}

bool Sampler::stop(Nanoseconds deadline) {
  return worker_->stop(deadline);
}

}  // namespace hvguard::observe
