#include "enforce/cgroup_files.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "base/parse.h"
#include "base/text.h"

namespace hvguard::enforce {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{16} << 10;
constexpr std::uint64_t kPageBytes = 4096;

// Wakes a write that reclaims, every so often until it goes: memory_high_write() and
// memory_max_write() stop reclaiming when a signal is pending (mm/memcontrol.c), and the value
// stays.
class WriteAlarm {
 public:
  WriteAlarm() {
    struct sigaction action{};
    action.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &action, nullptr);
    set(kMemoryBudget);
  }
  ~WriteAlarm() { set(Nanoseconds(0)); }
  WriteAlarm(const WriteAlarm&) = delete;
  WriteAlarm& operator=(const WriteAlarm&) = delete;

 private:
  static void set(Nanoseconds every) {
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(every).count();
    const timeval interval{us / 1'000'000, us % 1'000'000};
    const itimerval timer{interval, interval};
    ::setitimer(ITIMER_REAL, &timer, nullptr);
  }
};

Error file_error(Error error, std::string_view name) {
  if (error.sys_errno == ENOENT) {
    return {Errc::kUnsupported,
            ENOENT,
            fmt::format("{} is not there: its controller is not enabled for this cgroup", name)};
  }
  if (error.code == Errc::kGone && error.sys_errno == ENODEV && name != "io.max") {
    return std::move(error).context("the cgroup is gone");
  }
  return error;
}

Result<std::string> read_text(const DirFd& dir, std::string_view name) {
  std::array<char, kMaxFileBytes> buffer{};
  auto text = read_file_at(dir, std::string(name), buffer);
  if (!text) {
    return fail(file_error(std::move(text).error(), name));
  }
  return std::string(*text);
}

Result<> write_text(const DirFd& dir, std::string_view name, std::string_view text) {
  auto file = dir.open_file(std::string(name), O_WRONLY | O_TRUNC);
  if (!file) {
    return fail(file_error(std::move(file).error(), name));
  }
  if (auto written = write_all(file->get(), text); !written) {
    return fail(file_error(std::move(written).error(), name)
                    .context(fmt::format("write \"{}\" to {}", text, name)));
  }
  return {};
}

std::optional<std::uint64_t> memory_in_use(const CgroupFiles& files) {
  const auto text = files.read("memory.current");
  return text ? parse_number<std::uint64_t>(trimmed(*text)) : std::nullopt;
}

// Lowers memory.high step by step, so that no single write reclaims much. True: all the way.
Result<bool> lower_memory_high(const CgroupFiles& files, std::uint64_t wanted) {
  const BootTime end = boot_time_now() + kMemoryBudget;
  const WriteAlarm alarm;
  for (;;) {
    const auto used = memory_in_use(files);
    const std::uint64_t step =
        used && *used > kMemoryStepBytes ? (*used - kMemoryStepBytes) / kPageBytes * kPageBytes : 0;
    const std::uint64_t next = std::max(wanted, step);
    if (auto written = files.write("memory.high", std::to_string(next)); !written) {
      return fail(std::move(written).error());
    }
    if (next == wanted) {
      return true;
    }
    if (boot_time_now() >= end) {
      return false;
    }
  }
}

Result<bool> write_value(const CgroupFiles& files, const Setting& setting) {
  const auto name = file_of(setting.key.kind);
  if (setting.key.kind == LimitKind::kMemoryHigh && setting.value) {
    return lower_memory_high(files, *setting.value);
  }
  if (setting.key.kind == LimitKind::kMemoryMax && setting.value) {
    const auto used = memory_in_use(files);
    if (used && *used > *setting.value) {
      return fail(Errc::kInvalid,
                  fmt::format("memory.max of {} is less than the {} in use: the kernel would kill "
                              "the VM; lower memory.high first",
                              format_bytes(*setting.value),
                              format_bytes(*used)));
    }
  }
  auto text = files.read(name);
  if (!text) {
    return fail(std::move(text).error());
  }
  if (auto written = files.write(name, format_setting(*text, setting.key, setting.value));
      !written) {
    return fail(std::move(written).error());
  }
  return true;
}

}  // namespace

Result<CgroupFiles> open_cgroup(const DirFd& mount, const std::string& path, CgroupId id) {
  if (!path.starts_with('/') || path == "/" || (path + "/").find("/../") != std::string::npos) {
    return fail(Errc::kInvalid, fmt::format("{} is no cgroup of a VM", safe_text(path, 128)));
  }
  auto opened = mount.open_dir(path.substr(1));
  if (!opened) {
    return fail(std::move(opened).error().context("the cgroup is gone"));
  }
  struct stat info{};
  if (::fstat(opened->get(), &info) != 0 || info.st_ino != id.value) {
    return fail(Errc::kGone, "the cgroup is gone; another one has its name now");
  }
  auto dir = std::make_shared<const DirFd>(*std::move(opened));
  return CgroupFiles{
      [dir](std::string_view name) { return read_text(*dir, name); },
      [dir](std::string_view name, std::string_view text) { return write_text(*dir, name, text); }};
}

SettingResult read_setting(const CgroupFiles& files, const SettingKey& key) {
  SettingResult result;
  result.key = key;
  auto text = files.read(file_of(key.kind));
  auto value = text ? parse_setting(*text, key) : Result<SettingValue>(fail(text.error()));
  if (!value) {
    result.error = std::move(value).error().context(to_string(key.kind)).message;
    return result;
  }
  result.known = true;
  result.value = *value;
  return result;
}

SettingResult write_setting(const CgroupFiles& files, const Setting& setting) {
  const auto finished = write_value(files, setting);
  SettingResult result = read_setting(files, setting.key);
  if (!finished) {
    result.error = finished.error().message;
  } else {
    result.unfinished = !*finished;
  }
  return result;
}

}  // namespace hvguard::enforce
