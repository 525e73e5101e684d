#include "gateway/core_link.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>

namespace hvguard::gateway {
namespace {

constexpr Nanoseconds kConnectTimeout = std::chrono::seconds(2);
constexpr Nanoseconds kFirstBackoff = std::chrono::milliseconds(200);
constexpr Nanoseconds kMaxBackoff = std::chrono::seconds(2);
constexpr Nanoseconds kMaxSleep = std::chrono::seconds(1);
// hvguardd's slowest tick is 10 s. A connection that is silent for longer is given up, in case it
// is only this connection that is stuck.
constexpr Nanoseconds kSilenceLimit = std::chrono::seconds(30);

bool same_time(const google::protobuf::Timestamp& a, const google::protobuf::Timestamp& b) {
  return a.seconds() == b.seconds() && a.nanos() == b.nanos();
}

}  // namespace

CoreLink::CoreLink(std::string path, link::MirrorSlot& slot, Events events)
    : path_(std::move(path)), slot_(slot), events_(std::move(events)) {}

Result<> CoreLink::start() {
  stop_event_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop_event_.valid()) {
    return fail_errno(errno, "make an eventfd");
  }
  progress_ = boot_time_now().since_boot.count();
  thread_ = std::thread([this] { run(); });
  return {};
}

void CoreLink::stop() {
  stopping_ = true;
  if (thread_.joinable()) {
    ::eventfd_write(stop_event_.get(), 1);
    thread_.join();
  }
}

void CoreLink::run() {
  Nanoseconds backoff = kFirstBackoff;
  while (!stopping_) {
    const BootTime tried = boot_time_now();
    auto connection = link::CoreConnection::open(
        path_, link::Want::kEveryFrame, tried + kConnectTimeout, stop_event_.get());
    if (connection) {
      read_frames(*connection);
    } else {
      report_down(connection.error().message);
    }
    const BootTime now = boot_time_now();
    backoff = now - fresh_time_ < kStaleAfter ? kFirstBackoff : std::min(backoff * 2, kMaxBackoff);
    wait_until(now + backoff);
  }
}

void CoreLink::read_frames(link::CoreConnection& connection) {
  BootTime heard = boot_time_now();
  std::uint64_t discarded = 0;
  while (!stopping_) {
    const BootTime now = boot_time_now();
    housekeeping(now);
    if (now - heard > kSilenceLimit) {
      report_down(fmt::format("hvguardd at {} says nothing for {}: `systemctl status hvguardd`",
                              path_,
                              format_duration(kSilenceLimit)));
      return;
    }
    auto frame = connection.next(next_wake(now), stop_event_.get());
    if (!frame) {
      report_down(frame.error().message);
      return;
    }
    if (connection.discarded_count() != std::exchange(discarded, connection.discarded_count())) {
      log_limited(
          loss_limit_,
          Level::kWarning,
          fmt::format("{} frames of hvguardd did not arrive whole on this connection", discarded));
    }
    if (*frame) {
      heard = boot_time_now();
      take(std::move(**frame));
    }
  }
}

void CoreLink::take(link::Frame&& frame) {
  const BootTime now = boot_time_now();
  const std::uint64_t trimmed = frame.trimmed_count;
  auto mirror = link::build_mirror(std::move(frame), mirror_.get());
  // A frame that tells of the same reading as the one before makes nothing fresher.
  const bool moved_on = mirror_ == nullptr || mirror_->epoch != mirror->epoch ||
                        !same_time(mirror_->status.observe_time(), mirror->status.observe_time());
  if (moved_on) {
    fresh_time_ = now;
  }
  mirror_ = mirror;
  slot_.set_mirror(mirror, fresh_time_);
  if (!connected_once_ || !reported_error_.empty()) {
    log_line(Level::kInfo, fmt::format("connected to hvguardd at {}", path_));
    connected_once_ = true;
    reported_error_.clear();
  }
  if (trimmed != std::exchange(trimmed_, trimmed) && trimmed > 0) {
    log_limited(loss_limit_,
                Level::kWarning,
                fmt::format("hvguardd cut {} lists that are larger than a packet", trimmed));
  }
  events_.on_mirror(mirror, now);
  housekeeping(now);
}

void CoreLink::housekeeping(BootTime now) {
  progress_ = now.since_boot.count();
  const bool fresh = mirror_ != nullptr && now - fresh_time_ <= kStaleAfter;
  if (fresh != fresh_) {
    fresh_ = fresh;
    events_.on_freshness(fresh);
    if (!fresh) {
      log_line(Level::kWarning,
               fmt::format("no new data from hvguardd for {}: answers are stale, health is "
                           "NOT_SERVING",
                           format_duration(now - fresh_time_)));
    }
  }
  events_.on_time(now);
}

void CoreLink::wait_until(BootTime deadline) {
  for (BootTime now = boot_time_now(); !stopping_ && now < deadline; now = boot_time_now()) {
    housekeeping(now);
    const BootTime wake = std::min(deadline, next_wake(now));
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(wake - now);
    pollfd stop{stop_event_.get(), POLLIN, 0};
    ::poll(&stop, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
  }
}

BootTime CoreLink::next_wake(BootTime now) const {
  BootTime wake = now + kMaxSleep;
  if (fresh_) {
    wake = std::min(wake, fresh_time_ + kStaleAfter + std::chrono::milliseconds(1));
  }
  if (const auto due = events_.next_due()) {
    wake = std::min(wake, *due);
  }
  return std::max(wake, now + std::chrono::milliseconds(1));
}

void CoreLink::report_down(const std::string& why) {
  slot_.set_link_error(why);
  // Once per reason, not once per attempt.
  if (why != reported_error_) {
    log_line(Level::kWarning, why);
    reported_error_ = why;
  }
}

}  // namespace hvguard::gateway
