#include "guard/daemon.h"

#include <csignal>
#include <utility>
#include <variant>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>

#include "guard/log.h"
#include "guard/own_place.h"
#include "guard/self_limits.h"

namespace hvguard::guard {
namespace {

constexpr int kLateIntervals = 3;
constexpr auto kStopDeadline = std::chrono::milliseconds(1900);
constexpr auto kSamplerStopDeadline = std::chrono::milliseconds(900);
// Until all limits are given back; what is left then is the restorer's.
constexpr auto kReleaseDeadline = std::chrono::milliseconds(900);

publish::AuditRecord plain_record(publish::AuditKind kind,
                                  publish::Priority priority,
                                  std::string message) {
  return {kind, priority, std::move(message), {}};
}

}  // namespace

Daemon::Daemon(DaemonOptions options,
               const Config& config,
               EventLoop loop,
               RuntimeFolder folder,
               std::shared_ptr<Inbox> inbox,
               Outlets outlets,
               std::unique_ptr<enforce::Enforcer> enforcer)
    : options_(std::move(options)),
      config_(config),
      loop_(std::move(loop)),
      folder_(std::move(folder)),
      inbox_(std::move(inbox)),
      pipeline_(config, read_own_place()),
      enforcer_(std::move(enforcer)),
      publisher_(std::move(outlets.publisher)),
      config_reader_(inbox_, options_.config_path) {
  pipeline_.restore(std::move(outlets.restored));
}

Daemon::~Daemon() = default;

Result<std::unique_ptr<Daemon>> Daemon::create(DaemonOptions options, const ReadConfig& config) {
  auto folder = RuntimeFolder::claim(options.runtime_folder);
  if (!folder) {
    return fail(std::move(folder).error());
  }
  auto loop = EventLoop::create();
  if (!loop) {
    return fail(std::move(loop).error());
  }
  auto inbox = Inbox::create();
  if (!inbox) {
    return fail(std::move(inbox).error());
  }
  auto outlets = open_outlets(loop->get(), *folder, config);
  if (!outlets) {
    return fail(std::move(outlets).error());
  }
  auto enforcer = enforce::Enforcer::create(loop->get(),
                                            {.helper_path = options.limits_path,
                                             .runtime_folder = options.runtime_folder,
                                             .cgroup_root = read_cgroup_mount(),
                                             .boot_id = outlets->boot_id});
  if (!enforcer) {
    return fail(std::move(enforcer).error());
  }
  return std::unique_ptr<Daemon>(new Daemon(std::move(options),
                                            config.loaded.config,
                                            *std::move(loop),
                                            *std::move(folder),
                                            *std::move(inbox),
                                            *std::move(outlets),
                                            *std::move(enforcer)));
}

Result<> Daemon::watch_inbox() {
  auto source = publish::EventSource::io(
      loop_.get(), inbox_->fd(), EPOLLIN, [this](std::uint32_t) { inbox_->drain(); });
  auto timer = publish::EventSource::timer(
      loop_.get(), config_.sampler.interval, [this] { on_late_check(); });
  auto signals = SignalWatch::watch(loop_.get(), [this](int signal) { on_signal(signal); });
  if (!source || !timer || !signals) {
    return fail(!source ? source.error() : !timer ? timer.error() : signals.error());
  }
  inbox_source_ = *std::move(source);
  late_timer_ = *std::move(timer);
  signals_ = *std::move(signals);
  return {};
}

Result<> Daemon::start_sampler() {
  last_snapshot_ = boot_time_now();
  // On the sampler thread. A full inbox drops the Snapshot; the hole in its tick numbers is
  // counted.
  auto deliver = [this, inbox = inbox_](std::shared_ptr<const Snapshot> snapshot) {
    inbox->post([this, snapshot = std::move(snapshot)] { on_snapshot(snapshot); });
  };
  auto sampler = observe::Sampler::start({.sampler = config_.sampler,
                                          .vm_finder = config_.vm_finder,
                                          .probe_path = options_.probe_path},
                                         std::move(deliver));
  if (!sampler) {
    return fail(std::move(sampler).error().context("start reading the host"));
  }
  sampler_ = *std::move(sampler);
  publisher_->on_spool_report(
      [this](SpoolReport report) { sampler_->set_spool_report(std::move(report)); });
  return {};
}

Result<Ending> Daemon::run() {
  if (auto watched = watch_inbox(); !watched) {
    return fail(std::move(watched).error());
  }
  publisher_->audit().record(
      plain_record(publish::AuditKind::kStarted,
                   publish::Priority::kInfo,
                   fmt::format("hvguardd " HVGUARD_VERSION " started, mode {}",
                               to_string(config_.policy.mode))));
  publisher_->on_admin([this](const AdminRequest& request) { return on_request(request); });
  if (auto started = start_sampler(); !started) {
    return fail(std::move(started).error());
  }
  const auto exit_code = loop_.run();
  if (!exit_code) {
    spdlog::error("{}", exit_code.error().message);
  }
  return stop(exit_code.value_or(1));
}

void Daemon::on_signal(int signal) {
  if (signal == SIGHUP) {
    reload();
    return;
  }
  service_manager_.stopping("stopping");
  loop_.exit(0);
}

void Daemon::on_snapshot(std::shared_ptr<const Snapshot> snapshot) {
  const BootTime start = boot_time_now();
  last_snapshot_ = start;
  if (std::exchange(late_, false)) {
    spdlog::info("readings come again");
  }
  finish(pipeline_.step(std::move(snapshot), enforcer_->outcomes()), true, start);
}

// Without readings the loop is of no use for long: the watchdog is left to restart it. Not so while
// the sampler is in uninterruptible sleep: no signal ends that process, PID 1 could start no other
// before, and what is left of the guard still tells what it is stuck in.
void Daemon::on_late_check() {
  late_timer_.arm(config_.sampler.interval);
  const BootTime now = boot_time_now();
  if (now - last_snapshot_ < kLateIntervals * config_.sampler.interval) {
    return;
  }
  const observe::Breadcrumb crumb = sampler_->breadcrumb();
  if (!std::exchange(late_, true)) {
    spdlog::warn("no reading for {}: the sampler has been in '{}' for {}",
                 format_duration(now - last_snapshot_),
                 crumb.reading,
                 format_duration(now - crumb.since));
  }
  finish(pipeline_.sampler_late(now, wall_time_now(), crumb.reading), false, now);
  if (sampler_->in_uninterruptible_sleep()) {
    service_manager_.alive(status_);
  }
}

void Daemon::finish(const TickResult& result, bool fresh, BootTime step_start) {
  enforce(result, step_start);
  publisher_->publish(result, fresh, loop_.handler_times(), step_start);
  status_ = status_line(result);
  if (!fresh) {
    return;
  }
  if (publisher_->figures().tick_count == 1) {
    service_manager_.ready(status_);
  }
  service_manager_.alive(status_);
}

void Daemon::enforce(const TickResult& result, BootTime now) {
  static const std::vector<VmReading> kNone;
  enforcer_->tick(result.mode,
                  result.limits,
                  result.snapshot ? result.snapshot->vms : kNone,
                  config_.policy.safety.allow_cgroupfs_fallback,
                  now);
}

void Daemon::release_limits() {
  const BootTime until = boot_time_now() + kReleaseDeadline;
  enforcer_->release_all(boot_time_now());
  while (!enforcer_->idle() && boot_time_now() < until) {
    loop_.run_once(std::chrono::milliseconds(20));
    enforcer_->run(boot_time_now());
  }
  if (!enforcer_->idle()) {
    spdlog::warn("not all limits are given back yet: hvguard-limits goes on with it");
  }
}

Result<AdminAnswer> Daemon::on_request(const AdminRequest& request) {
  if (!std::holds_alternative<ReloadConfigAction>(request.action)) {
    return pipeline_.request(request);
  }
  if (!request.validate_only) {
    reload();
  }
  return AdminAnswer();
}

void Daemon::reload() {
  const auto started =
      config_reader_.start([this](ReadConfig config) { apply(std::move(config)); });
  if (!started) {
    service_manager_.reloading();
    refuse_reload(started.error().message);
  } else if (!*started) {
    spdlog::warn("reload: the one before is still reading the configuration");
  } else {
    service_manager_.reloading();
  }
}

void Daemon::apply(ReadConfig config) {
  if (!config.loaded.faults.empty()) {
    for (const config::Fault& fault : config.loaded.faults) {
      spdlog::error("{}", config::to_string(fault));
    }
    const std::size_t more = config.loaded.faults.size() - 1;
    refuse_reload(config::to_string(config.loaded.faults.front()) +
                  (more > 0 ? fmt::format(" (and {} more)", more) : ""));
    return;
  }
  const CoreSocketConfig& socket = config.loaded.config.core_socket;
  if (socket.path != config_.core_socket.path ||
      socket.gateway_user != config_.core_socket.gateway_user ||
      socket.spool_user != config_.core_socket.spool_user) {
    spdlog::warn("reload: changes in [core_socket] take effect after a restart");
    config.loaded.config.core_socket = config_.core_socket;
  }
  config_ = config.loaded.config;
  set_log_level(config_.log.level);
  pipeline_.set_config(config_);
  sampler_->reconfigure(config_.sampler, config_.vm_finder);
  publisher_->set_reload_error("");
  publisher_->audit().record(plain_record(
      publish::AuditKind::kConfigReloaded, publish::Priority::kInfo, "configuration reloaded"));
  service_manager_.ready(status_);
}

void Daemon::refuse_reload(const std::string& why) {
  publisher_->set_reload_error(why);
  publisher_->audit().record(
      plain_record(publish::AuditKind::kConfigRefused,
                   publish::Priority::kError,
                   "configuration not reloaded, the old one stays in force: " + why));
  service_manager_.ready(status_);
}

Ending Daemon::stop(int exit_code) {
  exit_after(kStopDeadline, exit_code);
  release_limits();
  Ending ending{.exit_code = exit_code, .thread_left_behind = config_reader_.busy()};
  if (!sampler_->stop(kSamplerStopDeadline)) {
    const observe::Breadcrumb crumb = sampler_->breadcrumb();
    spdlog::error("the sampler is stuck in '{}' for {}; leaving without it",
                  crumb.reading,
                  format_duration(boot_time_now() - crumb.since));
    ending.thread_left_behind = true;
  }
  publisher_->audit().record(
      plain_record(publish::AuditKind::kStopped, publish::Priority::kInfo, "hvguardd stopped"));
  return ending;
}

}  // namespace hvguard::guard
