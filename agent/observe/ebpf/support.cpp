#include "observe/ebpf/support.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/parse.h"
#include "base/text.h"

namespace hvguard::observe {
namespace {

// include/uapi/linux/capability.h
constexpr unsigned kCapSysAdmin = 21;
constexpr unsigned kCapPerfmon = 38;
constexpr unsigned kCapBpf = 39;

// include/linux/proc_ns.h, PROC_PID_INIT_INO: the PID namespace of the host itself
constexpr std::string_view kHostPidNamespace = "pid:[4026531836]";

constexpr std::size_t kMaxLogLine = 256;

// A verifier log is formatted whole, since what it has to say stands at its end.
constexpr int kMaxLogBytes = 4 << 20;

// What one libbpf call has printed, as far as it tells why it failed.
struct LibbpfLog {
  std::string line;
  bool from_verifier = false;  // then nothing printed later tells more
};

// libbpf's print callback is global and carries no context: what it prints belongs to the call that
// this thread is in.
thread_local LibbpfLog* current_log = nullptr;

bool tells_nothing(std::string_view line) {
  // The verifier ends with statistics, libbpf with one line per caller of the failed function.
  return line.empty() || line.starts_with("processed ") || line.starts_with("verification time") ||
         line.starts_with("stack depth") || line.starts_with("-- ") ||
         line.starts_with("libbpf: failed to load ") ||
         line.find(": failed to load: ") != std::string_view::npos;
}

std::string_view last_telling_line(std::string_view text) {
  std::string_view last;
  while (!text.empty()) {
    const std::string_view line = trimmed(next_field(text, '\n'));
    if (!tells_nothing(line)) {
      last = line;
    }
  }
  return last;
}

// "libbpf: prog 'x': -- BEGIN PROG LOAD LOG --", then the log.
std::string_view program_of(std::string_view text) {
  const std::size_t end = text.find(": -- BEGIN PROG LOAD LOG --");
  return end == std::string_view::npos ? std::string_view() : text.substr(0, end);
}

int keep_print(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN || current_log == nullptr || current_log->from_verifier) {
    return 0;
  }
  va_list again;
  va_copy(again, arguments);
  const int length = std::min(std::vsnprintf(nullptr, 0, format, again), kMaxLogBytes);
  va_end(again);
  if (length <= 0) {
    return 0;
  }
  std::string text(static_cast<std::size_t>(length) + 1, '\0');
  std::vsnprintf(text.data(), text.size(), format, arguments);
  text.pop_back();
  const std::string_view line = last_telling_line(text).substr(0, kMaxLogLine);
  if (const std::string_view program = program_of(text); !program.empty()) {
    current_log->from_verifier = true;
    current_log->line = fmt::format("{}: {}", program, line);
  } else if (!line.empty()) {
    current_log->line = line;
  }
  return 0;
}

class CapturedLog {
 public:
  CapturedLog() {
    libbpf_set_print(keep_print);
    current_log = &log_;
  }
  CapturedLog(const CapturedLog&) = delete;
  CapturedLog& operator=(const CapturedLog&) = delete;
  ~CapturedLog() { current_log = nullptr; }

  [[nodiscard]] const std::string& line() const { return log_.line; }

 private:
  LibbpfLog log_;
};

std::string read_text(const DirFd& root, const std::string& path) {
  std::array<char, 8192> buffer{};
  const auto text = read_file_at(root, path, buffer);
  return text ? std::string(*text) : std::string();
}

std::uint64_t effective_capabilities(std::string_view status) {
  while (!status.empty()) {
    std::string_view line = next_field(status, '\n');
    if (next_word(line) == "CapEff:") {
      return parse_number<std::uint64_t>(next_word(line), 16).value_or(0);
    }
  }
  return 0;
}

// BPF programs and their maps hold the host's process numbers. A host without the link is too old
// for us, not a container.
bool numbers_are_the_hosts(const DirFd& root) {
  std::array<char, 64> target{};
  const ssize_t size = ::readlinkat(root.get(), "proc/self/ns/pid", target.data(), target.size());
  return size < 0 ||
         std::string_view(target.data(), static_cast<std::size_t>(size)) == kHostPidNamespace;
}

// /proc/cgroups: "blkio <hierarchy> …"; hierarchy 0 is v2. The file is gone where v1 is not built.
bool blkio_on_cgroup2(std::string_view cgroups) {
  while (!cgroups.empty()) {
    std::string_view line = next_field(cgroups, '\n');
    if (next_word(line) == "blkio") {
      return next_word(line) == "0";
    }
  }
  return true;
}

Errc code_for(int sys_errno, const BpfSupport& support) {
  if (!support.btf || !support.host_pids) {
    return Errc::kUnsupported;
  }
  if (!support.may_load) {
    return Errc::kDenied;
  }
  switch (sys_errno) {
    case EACCES:  // the verifier's word for "this access is not allowed"
    case EINVAL:
    case ENOENT:
    case ESRCH:
    case E2BIG:
      return Errc::kUnsupported;
    default:
      return errc_from_errno(sys_errno);
  }
}

std::string reason_for(int sys_errno, const BpfSupport& support) {
  if (!support.btf) {
    return "this kernel has no BTF (/sys/kernel/btf/vmlinux, CONFIG_DEBUG_INFO_BTF)";
  }
  if (!support.host_pids) {
    return "hvguardd runs in a container, where processes have other numbers than eBPF knows";
  }
  if (!support.may_load) {
    return "permission denied: CAP_BPF and CAP_PERFMON are needed";
  }
  return fail_errno(sys_errno, "the kernel refused it").value().message;
}

}  // namespace

int BpfSupport::level() const {
  if (!btf || !host_pids || !may_load) {
    return 1;
  }
  return may_probe_read ? 3 : 2;
}

std::string BpfSupport::explanation() const {
  if (!btf) {
    return "no BTF in this kernel: blocked tasks and IO per VM come from /proc and io.stat";
  }
  if (!host_pids) {
    return "hvguardd runs in a PID namespace of its own: blocked tasks and IO per VM come from "
           "/proc and io.stat";
  }
  if (!may_load) {
    return "CAP_BPF or CAP_PERFMON is missing: blocked tasks and IO per VM come from /proc and "
           "io.stat";
  }
  if (!may_probe_read) {
    return "kernel lockdown is confidentiality: lock owners and kworker descriptions are unknown";
  }
  return {};
}

BpfSupport probe_bpf(const std::string& root) {
  BpfSupport support;
  const auto dir = DirFd::open(root);
  if (!dir) {
    return support;
  }
  support.btf = ::faccessat(dir->get(), "sys/kernel/btf/vmlinux", R_OK, 0) == 0;
  support.host_pids = numbers_are_the_hosts(*dir);
  const std::uint64_t caps = effective_capabilities(read_text(*dir, "proc/self/status"));
  const auto has = [caps](unsigned bit) { return (caps >> bit & 1U) != 0; };
  support.may_load = has(kCapSysAdmin) || (has(kCapBpf) && has(kCapPerfmon));
  support.may_probe_read =
      read_text(*dir, "sys/kernel/security/lockdown").find("[confidentiality]") ==
      std::string::npos;
  support.io_on_cgroup2 = blkio_on_cgroup2(read_text(*dir, "proc/cgroups"));
  return support;
}

std::vector<BpfProgramStatistics> program_statistics(bpf_object* object) {
  std::vector<BpfProgramStatistics> result;
  bpf_program* program = nullptr;
  while ((program = bpf_object__next_program(object, program)) != nullptr) {
    bpf_prog_info info{};
    std::uint32_t size = sizeof(info);
    const int fd = bpf_program__fd(program);
    if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) != 0) {
      continue;
    }
    result.push_back({.name = bpf_program__name(program),
                      .id = info.id,
                      .run_count = info.run_cnt,
                      .run_nanoseconds = info.run_time_ns});
  }
  return result;
}

const bpf_object_open_opts* open_options() {
  static const bpf_object_open_opts kOptions = [] {
    bpf_object_open_opts options{};
    options.sz = sizeof(options);
    options.btf_custom_path = "/sys/kernel/btf/vmlinux";
    return options;
  }();
  return &kOptions;
}

Result<> run_libbpf(std::string_view object_name,
                    std::string_view step,
                    const BpfSupport& support,
                    const std::function<int()>& call) {
  const auto refused = [&](int sys_errno, std::string_view log) {
    std::string message =
        fmt::format("{} BPF object {}: {}", step, object_name, reason_for(sys_errno, support));
    if (!log.empty()) {
      message += fmt::format(" ({})", safe_text(log, kMaxLogLine));
    }
    return fail({code_for(sys_errno, support), sys_errno, std::move(message)});
  };
  if (support.level() == 1) {
    return refused(0, {});
  }
  const CapturedLog log;
  const int result = call();
  if (result >= 0) {
    return {};
  }
  return refused(-result, log.line());
}

}  // namespace hvguard::observe
