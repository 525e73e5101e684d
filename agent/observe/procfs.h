// Parsers of /proc files: text in, struct out, no I/O, no allocation except where a list or a name
// is returned. Called by the sampler thread and the probe; fuzzed by tests/fuzz/fuzz_procfs.cpp.
// A line or column that is missing or no number leaves its field absent; lines and columns we do
// not know are skipped, since newer kernels add both. Formats: Documentation/filesystems/proc.rst,
// Documentation/accounting/psi.rst, Documentation/admin-guide/iostats.rst.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/counter.h"
#include "base/ids.h"
#include "model/snapshot.h"

namespace hvguard::observe {

// "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" and the same with "full"; none if neither
// line can be read. Also the format of cgroup v2's *.pressure.
[[nodiscard]] std::optional<Pressure> parse_pressure(std::string_view text);

[[nodiscard]] Vmstat parse_vmstat(std::string_view text);
[[nodiscard]] Meminfo parse_meminfo(std::string_view text);

// "0.04 0.03 0.05 1/234 5678": the number after the slash counts threads, the last one is the
// newest PID.
struct LoadavgLine {
  Loadavg load;
  std::optional<Pid> newest_pid;
};
[[nodiscard]] std::optional<LoadavgLine> parse_loadavg(std::string_view text);

// One line of /proc/diskstats. Sectors are 512 bytes whatever the device says.
struct DiskstatsLine {
  DeviceId id;
  std::string_view name;
  Counter read_operations;
  Counter read_bytes;
  Counter write_operations;
  Counter write_bytes;
  std::uint64_t in_flight_count = 0;
  Counter busy_microseconds;
};
// None for a line that is no line of diskstats (14 columns before 4.18, 18 or 20 since).
[[nodiscard]] std::optional<DiskstatsLine> parse_diskstats_line(std::string_view line);

// What is used of /proc/PID/status and /proc/PID/task/TID/status.
struct TaskStatus {
  std::string comm;   // raw: the kernel's escapes for newline and backslash are undone
  char state = '\0';  // 'R', 'S', 'D', 'I', 'Z' …
  Pid tgid = 0;
  Pid pid = 0;
  std::optional<std::uint64_t> resident_bytes;  // absent for kernel threads
  std::optional<std::uint64_t> thread_count;
  std::uint64_t switch_count = 0;  // voluntary + involuntary
  bool has_memory = false;         // a VmSize line: not a kernel thread, and not a zombie
};
// None without State and Tgid: the task vanished while it was read.
[[nodiscard]] std::optional<TaskStatus> parse_task_status(std::string_view text);

// Field 22 of /proc/PID/stat, clock ticks since boot. For the probe alone: that file can block.
// comm may hold blanks and parentheses, so fields are counted from the last ')'.
[[nodiscard]] std::optional<std::uint64_t> parse_stat_start_ticks(std::string_view text);

// Where cgroup v2 is mounted, by the text of /proc/self/mountinfo; empty if nowhere. Octal escapes
// in the path (\040) are undone.
[[nodiscard]] std::string parse_cgroup2_mount(std::string_view mountinfo);

// A whole file with one number; for the sysctls.
[[nodiscard]] std::optional<std::uint64_t> parse_sysctl_unsigned(std::string_view text);
[[nodiscard]] std::optional<std::int64_t> parse_sysctl_signed(std::string_view text);

}  // namespace hvguard::observe
