#include "observe/host_reader.h"

#include <array>
#include <string>

#include <sys/resource.h>

#include "base/parse.h"
#include "base/text.h"
#include "observe/procfs.h"

namespace hvguard::observe {
namespace {

constexpr std::size_t kMaxHostNameBytes = 128;

std::string read_name(const HostRoot& root, const std::string& path) {
  std::array<char, 512> buffer;
  const auto text = read_file_at(root.proc(), path, buffer);
  return text ? safe_text(trimmed(*text), kMaxHostNameBytes) : std::string();
}

}  // namespace

Result<BootId> read_boot_id(const HostRoot& root) {
  std::array<char, 128> buffer;
  const auto text = read_file_at(root.proc(), "sys/kernel/random/boot_id", buffer);
  if (!text) {
    return fail(text.error());
  }
  return safe_text(trimmed(*text), 64);
}

HostReader::HostReader(const HostRoot& root)
    // uname() would tell of the machine we run on, not of an injected root.
    : hostname_(read_name(root, "sys/kernel/hostname")),
      kernel_release_(read_name(root, "sys/kernel/osrelease")),
      pressure_{KeptFile("pressure/cpu"), KeptFile("pressure/memory"), KeptFile("pressure/io")},
      vmstat_("vmstat"),
      meminfo_("meminfo"),
      loadavg_("loadavg"),
      hung_task_{KeptFile("sys/kernel/hung_task_timeout_secs"),
                 KeptFile("sys/kernel/hung_task_check_interval_secs"),
                 KeptFile("sys/kernel/hung_task_check_count"),
                 KeptFile("sys/kernel/hung_task_warnings"),
                 KeptFile("sys/kernel/hung_task_detect_count"),
                 KeptFile("sys/kernel/hung_task_panic"),
                 KeptFile("sys/kernel/panic")},
      self_status_("self/status") {
  open_missing(root);
}

void HostReader::open_missing(const HostRoot& root) {
  for (auto& file : pressure_) {
    file.open(root.proc());
  }
  for (auto& file : hung_task_) {
    file.open(root.proc());
  }
  for (auto* const file : {&vmstat_, &meminfo_, &loadavg_, &self_status_}) {
    file->open(root.proc());
  }
}

void HostReader::read(std::span<char> buffer,
                      HostReading& host,
                      SelfReading& self,
                      SourceBook& book) {
  host.hostname = hostname_;
  host.kernel_release = kernel_release_;
  read_pressure(buffer, host, book);
  read_memory(buffer, host, book);
  read_loadavg(buffer, host, book);
  read_hung_task(buffer, host, book);
  read_self(buffer, self);
}

void HostReader::read_pressure(std::span<char> buffer, HostReading& host, SourceBook& book) const {
  const std::array<std::optional<Pressure>*, 3> fields = {
      &host.cpu_pressure, &host.memory_pressure, &host.io_pressure};
  std::string first_failure;
  bool any = false;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const auto text = pressure_[i].read_record(buffer);
    if (text) {
      *fields[i] = parse_pressure(*text);
    }
    if (*fields[i]) {
      any = true;
      continue;
    }
    const std::string why = text ? "no line of it can be read" : text.error().message;
    first_failure = first_failure.empty() ? why : first_failure;
    book.gap(Source::kPressure,
             text ? GapReason::kFailed : gap_reason(text.error().code),
             "/proc/" + pressure_[i].path(),
             why);
  }
  if (any) {
    book.good(Source::kPressure);
  } else {
    book.blind(Source::kPressure,
               first_failure +
                   ". Pressure of CPU, memory and IO is not watched; the kernel needs CONFIG_PSI "
                   "and perhaps psi=1 on its command line");
  }
}

void HostReader::read_memory(std::span<char> buffer, HostReading& host, SourceBook& book) const {
  if (const auto text = vmstat_.read(buffer)) {
    host.vmstat = parse_vmstat(*text);
    book.good(Source::kVmstat);
  } else {
    book.blind(Source::kVmstat, text.error().message + ". Swapping and OOM kills are not watched");
  }
  if (const auto text = meminfo_.read(buffer)) {
    host.meminfo = parse_meminfo(*text);
    book.good(Source::kMeminfo);
  } else {
    book.blind(Source::kMeminfo, text.error().message + ". Free memory is not watched");
  }
}

void HostReader::read_loadavg(std::span<char> buffer, HostReading& host, SourceBook& book) {
  const auto text = loadavg_.read_record(buffer);
  const auto line = text ? parse_loadavg(*text) : std::nullopt;
  if (!line) {
    book.blind(Source::kLoadavg,
               (text ? "/proc/loadavg cannot be read as such" : text.error().message) +
                   ". The number of threads is not watched");
    newest_pid_.reset();
    return;
  }
  host.loadavg = line->load;
  newest_pid_ = line->newest_pid;
  book.good(Source::kLoadavg);
}

void HostReader::read_hung_task(std::span<char> buffer, HostReading& host, SourceBook& book) const {
  const auto number = [&](std::size_t i) -> std::optional<std::uint64_t> {
    const auto text = hung_task_.at(i).read_record(buffer);
    return text ? parse_sysctl_unsigned(*text) : std::nullopt;
  };
  const auto signed_number = [&](std::size_t i) -> std::optional<std::int64_t> {
    const auto text = hung_task_.at(i).read_record(buffer);
    return text ? parse_sysctl_signed(*text) : std::nullopt;
  };
  HungTaskSysctls sysctls;
  sysctls.timeout_seconds = number(0);
  sysctls.check_interval_seconds = number(1);
  sysctls.check_count = number(2);
  sysctls.warnings_left = signed_number(3);
  sysctls.detect_count = number(4);  // since 6.13: absent on older kernels, no gap
  sysctls.hung_task_panic = number(5);
  sysctls.panic_seconds = signed_number(6);
  host.hung_task = sysctls;
  if (sysctls.timeout_seconds && sysctls.hung_task_panic) {
    book.good(Source::kHungTaskSysctls);
  } else {
    book.blind(Source::kHungTaskSysctls,
               "/proc/sys/kernel/hung_task_* cannot be read (kernel without "
               "CONFIG_DETECT_HUNG_TASK?). A panic by the hung-task rule cannot be forecast");
  }
}

void HostReader::read_self(std::span<char> buffer, SelfReading& self) const {
  if (const auto text = self_status_.read_record(buffer)) {
    if (const auto status = parse_task_status(*text)) {
      self.resident_bytes = status->resident_bytes;
      self.thread_count = status->thread_count;
    }
  }
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) == 0) {
    const auto microseconds = [](const timeval& time) {
      return static_cast<std::uint64_t>(time.tv_sec) * 1000000 +
             static_cast<std::uint64_t>(time.tv_usec);
    };
    self.cpu_microseconds = Counter{microseconds(usage.ru_utime) + microseconds(usage.ru_stime)};
  }
}

}  // namespace hvguard::observe
