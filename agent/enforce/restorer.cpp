#include "enforce/restorer.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log_line.h"
#include "base/parse.h"
#include "enforce/bus_call.h"
#include "enforce/restore.h"

namespace hvguard::enforce {
namespace {

constexpr Nanoseconds kBusDeadline = std::chrono::seconds(2);
constexpr Nanoseconds kWatchLockWait = std::chrono::milliseconds(300);
constexpr Nanoseconds kLockRetry = std::chrono::milliseconds(5);
constexpr int kNotAllRestored = 1;

// systemd by the system bus; connects when first asked. Once it has failed to answer, it is not
// asked again: each unit would cost the whole deadline.
class UnitSetter {
 public:
  Result<> operator()(const std::string& unit, const std::vector<UnitProperty>& properties) {
    if (silent_) {
      return fail(Error(*silent_));
    }
    if (!bus_) {
      auto bus = connect_to_system_bus(boot_time_now() + kBusDeadline);
      if (!bus) {
        silent_ = bus.error();
        return fail(std::move(bus).error());
      }
      bus_ = *std::move(bus);
    }
    const auto message = set_properties_call(bus_.get(), unit, properties);
    if (!message) {
      return fail(Error(message.error()));
    }
    auto done = call_and_wait(bus_.get(), message->get(), boot_time_now() + kBusDeadline);
    if (!done && (done.error().code == Errc::kTimeout || done.error().code == Errc::kUnavailable)) {
      silent_ = done.error();
    }
    return done;
  }

 private:
  Bus bus_;
  std::optional<Error> silent_;
};

class Speaker {
 public:
  explicit Speaker(RestoreOutput output) : output_(output) {}
  void say(const std::string& text, bool wrong = false) const {
    if (output_ == RestoreOutput::kLog) {
      log_line("hvguard-limits", wrong ? LogPriority::kError : LogPriority::kInfo, text);
    } else {
      std::fprintf(wrong ? stderr : stdout, "%s\n", text.c_str());
    }
  }

 private:
  RestoreOutput output_;
};

Result<BootId> read_boot_id() {
  const auto proc = DirFd::open("/proc/sys/kernel/random");
  std::array<char, 64> buffer{};
  const auto text = proc ? read_file_at(*proc, "boot_id", buffer)
                         : Result<std::string_view>(fail(Error(proc.error())));
  if (!text) {
    return fail(Error(text.error()));
  }
  return BootId(trimmed(*text));
}

// The journal for us alone; none if it is not to be had within the time.
UniqueFd lock_within(const DirFd& folder, Nanoseconds wait) {
  const BootTime end = boot_time_now() + wait;
  for (;;) {
    auto lock = lock_journal(folder, LOCK_EX | LOCK_NB);
    if (lock) {
      return *std::move(lock);
    }
    if (lock.error().code != Errc::kUnavailable || boot_time_now() >= end) {
      return {};
    }
    const timespec pause{0, kLockRetry.count()};
    ::nanosleep(&pause, nullptr);
  }
}

// A journal with damage is kept beside, for whoever wants to know what was in it.
Result<> finish_journal(const DirFd& folder,
                        const JournalContent& content,
                        const RestoreReport& report) {
  if (!content.damage.empty()) {
    const std::string name(kJournalName);
    if (::renameat(folder.get(), name.c_str(), folder.get(), (name + ".bad").c_str()) != 0) {
      return fail_errno(errno, "set aside " + name);
    }
  }
  return store_journal(folder, content.boot_id, report.remaining);
}

int restore_with(const RestorerOptions& options,
                 const DirFd& folder,
                 bool owns_journal,
                 const Speaker& speaker) {
  auto content = load_journal(folder);
  if (!content) {
    speaker.say(content.error().message, true);
    return kNotAllRestored;
  }
  if (content->records.empty() && content->damage.empty()) {
    speaker.say("no limit of hvguard is in the journal");
    return 0;
  }
  for (const std::string& damage : content->damage) {
    speaker.say("limits.journal: " + damage, true);
  }
  const auto boot_id = read_boot_id();
  if (boot_id && !content->boot_id.empty() && content->boot_id != *boot_id) {
    speaker.say("the journal is of another boot, and no cgroup is left of that");
    content->records.clear();
  }
  const auto mount = DirFd::open(options.cgroup_root);
  if (!mount) {
    speaker.say(mount.error().message, true);
    return kNotAllRestored;
  }
  UnitSetter set_unit;
  const RestoreReport report = restore(*mount, content->records, std::ref(set_unit));
  for (const std::string& line : report.lines) {
    speaker.say(line, line.starts_with("not restored"));
  }
  speaker.say(summary(report), report.failed > 0);
  if (!owns_journal) {
    speaker.say(
        "the journal is in use by hvguardd or a helper of it, and is left to it; hvguardd "
        "lets go of what was put back");
  } else if (const auto done = finish_journal(folder, *content, report); !done) {
    speaker.say(done.error().message, true);
    return kNotAllRestored;
  }
  return report.failed == 0 && content->damage.empty() ? 0 : kNotAllRestored;
}

// The guard is gone, or says nothing. Where a helper of it is stuck in a write, that write may
// still come: once more, when the kernel has let it go.
int restore_after_guard(const RestorerOptions& options, const DirFd& folder) {
  const Speaker speaker(RestoreOutput::kLog);
  const UniqueFd lock = lock_within(folder, kWatchLockWait);
  if (lock.valid()) {
    return restore_with(options, folder, true, speaker);
  }
  static_cast<void>(restore_with(options, folder, false, speaker));
  const auto late = lock_journal(folder, LOCK_EX);
  return late ? restore_with(options, folder, true, speaker) : kNotAllRestored;
}

enum class GuardSign { kAlive, kSilent, kGone };

GuardSign wait_for_sign(int guard, Nanoseconds lease) {
  pollfd ready{guard, POLLIN, 0};
  const auto timeout = std::chrono::duration_cast<std::chrono::milliseconds>(lease).count();
  const int count = ::poll(&ready, 1, static_cast<int>(timeout));
  if (count < 0) {
    return errno == EINTR ? GuardSign::kAlive : GuardSign::kGone;
  }
  if (count == 0) {
    return GuardSign::kSilent;
  }
  std::array<char, 16> sign{};
  const ssize_t size = ::recv(guard, sign.data(), sign.size(), MSG_DONTWAIT);
  return size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR)) ? GuardSign::kAlive
                                                                       : GuardSign::kGone;
}

}  // namespace

int restore_once(const RestorerOptions& options, Nanoseconds wait_for_lock, RestoreOutput output) {
  const Speaker speaker(output);
  const auto folder = DirFd::open(options.runtime_folder);
  if (!folder) {
    const bool never_ran = folder.error().code == Errc::kGone;
    speaker.say(never_ran ? options.runtime_folder + " is not there: hvguard has set no limit"
                          : folder.error().message,
                !never_ran);
    return never_ran ? 0 : kNotAllRestored;
  }
  const UniqueFd lock = lock_within(*folder, wait_for_lock);
  return restore_with(options, *folder, lock.valid(), speaker);
}

int watch_guard(const RestorerOptions& options, int guard) {
  for (const int ignored : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) {
    std::signal(ignored, SIG_IGN);
  }
  ::setsid();
  const auto folder = DirFd::open(options.runtime_folder);
  if (!folder) {
    return kNotAllRestored;
  }
  // From now on hvguardd may set limits.
  static_cast<void>(::send(guard, "+", 1, MSG_DONTWAIT | MSG_NOSIGNAL));
  bool restored = false;
  for (;;) {
    switch (wait_for_sign(guard, options.lease)) {
      case GuardSign::kAlive:
        restored = false;
        break;
      case GuardSign::kSilent:
        if (!restored) {
          log_line("hvguard-limits",
                   LogPriority::kError,
                   fmt::format("hvguardd has said nothing for {}: its limits are taken back",
                               format_duration(options.lease)));
          static_cast<void>(restore_with(options, *folder, false, Speaker(RestoreOutput::kLog)));
        }
        restored = true;
        break;
      case GuardSign::kGone:
        return restore_after_guard(options, *folder);
    }
  }
}

}  // namespace hvguard::enforce
