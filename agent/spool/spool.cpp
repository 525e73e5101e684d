#include "spool/spool.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <poll.h>

#include "base/fd.h"
#include "base/parse.h"
#include "base/service_manager.h"
#include "spool/log.h"
#include "spool/pstore.h"
#include "spool/rights.h"
#include "spool/system_state.h"

namespace hvguard::spool {
namespace {

constexpr Nanoseconds kConnectTimeout = std::chrono::seconds(2);
constexpr Nanoseconds kRetryAfter = std::chrono::seconds(2);
// For systemd's answer at the end, before the mark and after it.
constexpr Nanoseconds kBusTimeout = std::chrono::seconds(1);
constexpr Nanoseconds kSecondBusTimeout = std::chrono::seconds(2);
// Thirty of hvguardd's slowest ticks.
constexpr Nanoseconds kSilenceLimit = std::chrono::seconds(30);
// The record is at most a minute older than the end; the file system's clock is coarse besides.
constexpr Nanoseconds kPstoreSlack = std::chrono::seconds(60);

Result<std::string> read_boot_id(const std::string& root) {
  const auto folder = DirFd::open(root + "/proc/sys/kernel/random");
  if (!folder) {
    return fail(folder.error());
  }
  std::array<char, 64> buffer{};
  const auto text = read_file_at(*folder, "boot_id", buffer);
  if (!text) {
    return fail(text.error());
  }
  return std::string(trimmed(*text));
}

// Read once, by the first hvguard-spool of this boot: later ones find it in the record.
void add_pstore(v1::BootRecord& previous, const v1::Pstore& told, const std::string& root) {
  if (previous.has_pstore() || previous.state() == v1::BootRecord::STATE_NO_RECORD ||
      previous.state() == v1::BootRecord::STATE_SHUTDOWN) {
    return;
  }
  std::optional<WallTime> not_before;
  if (previous.has_last_seen_time()) {
    not_before = WallTime{std::chrono::seconds(previous.last_seen_time().seconds()) - kPstoreSlack};
  }
  *previous.mutable_pstore() = read_pstore(root, not_before, told);
}

std::string describe(const v1::BootRecord& previous) {
  switch (previous.state()) {
    case v1::BootRecord::STATE_RUNNING:
      return "the boot before this one ended without a clean stop" +
             (previous.pstore().telling_line().empty() ? ""
                                                       : ": " + previous.pstore().telling_line());
    case v1::BootRecord::STATE_STOPPED:
      return "how the boot before this one ended is not known: hvguard-spool had been stopped";
    case v1::BootRecord::STATE_SHUTDOWN:
      return "the boot before this one ended with a clean shutdown";
    case v1::BootRecord::STATE_UNREADABLE:
      return "the boot record cannot be read: " + previous.detail();
    default:
      return "there is no record of an earlier boot";
  }
}

}  // namespace

Result<Spool> Spool::start(const Options& options, int stop_fd) {
  auto boot_id = read_boot_id(options.root);
  if (!boot_id) {
    return fail(std::move(boot_id).error().context("identity of this boot"));
  }
  auto file = RecordFile::open(options.state_dir);
  if (!file) {
    return fail(std::move(file).error());
  }
  const LoadedRecord found = file->load();
  v1::BootRecord previous = previous_boot(found, *boot_id);
  add_pstore(previous,
             found.record ? found.record->previous_boot().pstore() : v1::Pstore::default_instance(),
             options.root);
  if (auto dropped = drop_capabilities(); !dropped) {
    log_line(Level::kWarning, dropped.error().message);
  }
  const bool bad = previous.state() == v1::BootRecord::STATE_RUNNING ||
                   previous.state() == v1::BootRecord::STATE_UNREADABLE;
  log_line(bad ? Level::kWarning : Level::kInfo, describe(previous));
  Spool spool(options, stop_fd, *std::move(file), Recorder(*std::move(boot_id), previous));
  spool.write(v1::BootRecord::STATE_RUNNING);
  return spool;
}

bool Spool::stopping() const {
  pollfd stop{stop_fd_, POLLIN, 0};
  return ::poll(&stop, 1, 0) > 0;
}

void Spool::write(v1::BootRecord::State state) {
  const auto stored = file_.store(recorder_.record(state, {boot_time_now(), wall_time_now()}));
  std::string error = stored ? "" : stored.error().message;
  if (error == record_error_) {
    return;
  }
  log_line(
      error.empty() ? Level::kInfo : Level::kError,
      error.empty()
          ? "the boot record is written again"
          : fmt::format("the boot record in {} is not written: {}", options_.state_dir, error));
  record_error_ = std::move(error);
}

void Spool::write_if_due() {
  if (boot_time_now() >= recorder_.next_due()) {
    write(v1::BootRecord::STATE_RUNNING);
  }
}

void Spool::run() {
  while (!stopping()) {
    v1::AttachSpool report;
    *report.mutable_previous_boot() = recorder_.previous();
    report.set_record_error(record_error_);
    auto connection = link::CoreConnection::attach(
        options_.core_socket, std::move(report), boot_time_now() + kConnectTimeout, stop_fd_);
    if (connection) {
      serve(*connection);
    } else {
      report_down(connection.error().message);
    }
    wait_until(boot_time_now() + kRetryAfter);
  }
  write_last_mark();
}

void Spool::write_last_mark() {
  // Asked first, so that a clean shutdown is known as one even where the disk is slow.
  const auto at_once = system_is_stopping(boot_time_now() + kBusTimeout);
  if (at_once) {
    write(*at_once ? v1::BootRecord::STATE_SHUTDOWN : v1::BootRecord::STATE_STOPPED);
    return;
  }
  // PID 1 of a busy host has much to do when it shuts down. The mark that says less stands by then.
  write(v1::BootRecord::STATE_STOPPED);
  const auto later = system_is_stopping(boot_time_now() + kSecondBusTimeout);
  if (!later) {
    log_line(
        Level::kWarning,
        fmt::format("whether the host is being shut down is not known: {}", later.error().message));
  } else if (*later) {
    write(v1::BootRecord::STATE_SHUTDOWN);
  }
}

// Until hvguardd goes, the process shall end, or there is something else to report.
void Spool::serve(link::CoreConnection& connection) {
  BootTime heard = boot_time_now();
  const std::string reported_error = record_error_;
  bool whole = false;
  while (!stopping() && record_error_ == reported_error) {
    if (boot_time_now() - heard > kSilenceLimit) {
      report_down("hvguardd says nothing for " + format_duration(kSilenceLimit));
      return;
    }
    const BootTime wake = std::min(recorder_.next_due(), heard + kSilenceLimit);
    const auto frame = connection.next(wake, stop_fd_);
    if (!frame) {
      report_down(frame.error().message);
      return;
    }
    if (*frame) {
      heard = boot_time_now();
      recorder_.take(**frame);
      if (!std::exchange(whole, true)) {
        down_.clear();
        log_line(Level::kInfo, "connected to hvguardd at " + options_.core_socket);
        tell_service_manager("STATUS=connected to hvguardd");
      }
    }
    write_if_due();
  }
}

void Spool::wait_until(BootTime deadline) {
  while (!stopping() && boot_time_now() < deadline) {
    write_if_due();
    const BootTime wake = std::min(deadline, recorder_.next_due());
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(wake - boot_time_now()).count();
    pollfd stop{stop_fd_, POLLIN, 0};
    ::poll(&stop, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000)));
  }
}

void Spool::report_down(const std::string& why) {
  // Once per reason, not once per attempt.
  if (why != down_) {
    log_line(Level::kWarning, why);
    tell_service_manager("STATUS=not connected to hvguardd");
    down_ = why;
  }
}

}  // namespace hvguard::spool
