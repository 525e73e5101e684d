#include "observe/procfs.h"

#include <array>
#include <limits>
#include <tuple>
#include <utility>

#include "base/parse.h"

namespace hvguard::observe {
namespace {

constexpr std::uint64_t kSectorBytes = 512;

std::optional<std::uint64_t> times(std::optional<std::uint64_t> value, std::uint64_t factor) {
  if (!value || *value > std::numeric_limits<std::uint64_t>::max() / factor) {
    return std::nullopt;
  }
  return *value * factor;
}

std::optional<std::uint64_t> number_word(std::string_view& rest) {
  return parse_number<std::uint64_t>(next_word(rest));
}

// Integer and decimals by hand: from_chars for double takes "inf" and "nan", which no kernel
// writes and which would poison every comparison later.
std::optional<double> parse_decimal(std::string_view text) {
  const auto whole = parse_number<std::uint64_t>(next_field(text, '.'));
  if (!whole) {
    return std::nullopt;
  }
  double value = static_cast<double>(*whole);
  double unit = 0.1;
  for (const char c : text) {
    if (c < '0' || c > '9') {
      return std::nullopt;
    }
    value += unit * (c - '0');
    unit /= 10;
  }
  return value;
}

std::optional<double> parse_percent(std::string_view text, std::string_view key) {
  if (!text.starts_with(key)) {
    return std::nullopt;
  }
  const auto percent = parse_decimal(text.substr(key.size()));
  if (!percent || *percent > 100) {
    return std::nullopt;
  }
  return *percent / 100;
}

std::optional<PressureLine> parse_pressure_line(std::string_view rest) {
  const auto avg10 = parse_percent(next_word(rest), "avg10=");
  const auto avg60 = parse_percent(next_word(rest), "avg60=");
  const auto avg300 = parse_percent(next_word(rest), "avg300=");
  const auto total_word = next_word(rest);
  if (!avg10 || !avg60 || !avg300 || !total_word.starts_with("total=")) {
    return std::nullopt;
  }
  const auto total = parse_number<std::uint64_t>(total_word.substr(6));
  if (!total) {
    return std::nullopt;
  }
  return PressureLine{*avg10, *avg60, *avg300, Counter{*total}};
}

std::optional<Counter> as_counter(std::optional<std::uint64_t> value) {
  return value ? std::optional(Counter{*value}) : std::nullopt;
}

bool is_octal(char c) {
  return c >= '0' && c <= '7';
}

// "\040" → " ", as show_path() and the status file's string_escape write them.
std::string undo_octal(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) && is_octal(text[i + 2]) &&
        is_octal(text[i + 3])) {
      const int value = (text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0');
      out += static_cast<char>(value);
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

// The Name: line of status escapes only newline and backslash (fs/proc/array.c, proc_task_name).
std::string undo_comm_escape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == 'n' || text[i + 1] == '\\')) {
      out += text[++i] == 'n' ? '\n' : '\\';
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

std::optional<Pressure> parse_pressure(std::string_view text) {
  Pressure pressure;
  while (!text.empty()) {
    auto line = next_field(text, '\n');
    const auto kind = next_word(line);
    if (kind == "some") {
      pressure.some = parse_pressure_line(line);
    } else if (kind == "full") {
      pressure.full = parse_pressure_line(line);
    }
  }
  if (!pressure.some && !pressure.full) {
    return std::nullopt;
  }
  return pressure;
}

Vmstat parse_vmstat(std::string_view text) {
  Vmstat vmstat;
  const std::array<std::pair<std::string_view, std::optional<Counter>*>, 6> wanted = {{
      {"pswpin", &vmstat.swap_in_pages},
      {"pswpout", &vmstat.swap_out_pages},
      {"pgmajfault", &vmstat.major_faults},
      {"oom_kill", &vmstat.oom_kills},
      {"workingset_refault_anon", &vmstat.refault_anon_pages},
      {"workingset_refault_file", &vmstat.refault_file_pages},
  }};
  while (!text.empty()) {
    auto line = next_field(text, '\n');
    const auto key = next_word(line);
    for (const auto& [name, field] : wanted) {
      if (key == name) {
        *field = as_counter(number_word(line));
      }
    }
  }
  return vmstat;
}

Meminfo parse_meminfo(std::string_view text) {
  Meminfo meminfo;
  const std::array<std::pair<std::string_view, std::optional<std::uint64_t>*>, 6> wanted = {{
      {"MemTotal:", &meminfo.total_bytes},
      {"MemAvailable:", &meminfo.available_bytes},
      {"SwapTotal:", &meminfo.swap_total_bytes},
      {"SwapFree:", &meminfo.swap_free_bytes},
      {"Dirty:", &meminfo.dirty_bytes},
      {"Writeback:", &meminfo.writeback_bytes},
  }};
  while (!text.empty()) {
    auto line = next_field(text, '\n');
    const auto key = next_word(line);
    for (const auto& [name, field] : wanted) {
      if (key == name) {
        *field = times(number_word(line), 1024);
      }
    }
  }
  return meminfo;
}

std::optional<LoadavgLine> parse_loadavg(std::string_view text) {
  auto line = next_field(text, '\n');
  const auto one = parse_decimal(next_word(line));
  const auto five = parse_decimal(next_word(line));
  const auto fifteen = parse_decimal(next_word(line));
  auto threads = next_word(line);
  std::ignore = next_field(threads, '/');
  const auto thread_count = parse_number<std::uint64_t>(threads);
  if (!one || !five || !fifteen || !thread_count) {
    return std::nullopt;
  }
  return LoadavgLine{{*one, *five, *fifteen, *thread_count}, parse_number<Pid>(next_word(line))};
}

std::optional<DiskstatsLine> parse_diskstats_line(std::string_view line) {
  DiskstatsLine out;
  const auto major_number = parse_number<std::uint32_t>(next_word(line));
  const auto minor_number = parse_number<std::uint32_t>(next_word(line));
  out.name = next_word(line);
  if (!major_number || !minor_number || out.name.empty()) {
    return std::nullopt;
  }
  std::array<std::uint64_t, 10> column{};
  for (auto& value : column) {
    const auto number = number_word(line);
    if (!number) {
      return std::nullopt;
    }
    value = *number;
  }
  const auto read_bytes = times(column[2], kSectorBytes);
  const auto write_bytes = times(column[6], kSectorBytes);
  const auto busy = times(column[9], 1000);
  if (!read_bytes || !write_bytes || !busy) {
    return std::nullopt;
  }
  out.id = {*major_number, *minor_number};
  out.read_operations = {column[0]};
  out.read_bytes = {*read_bytes};
  out.write_operations = {column[4]};
  out.write_bytes = {*write_bytes};
  out.in_flight_count = column[8];
  out.busy_microseconds = {*busy};
  return out;
}

std::optional<TaskStatus> parse_task_status(std::string_view text) {
  TaskStatus status;
  bool has_tgid = false;
  while (!text.empty()) {
    auto line = next_field(text, '\n');
    const auto key = next_field(line, ':');
    if (key == "Name") {
      line.remove_prefix(line.starts_with('\t') ? 1 : 0);
      status.comm = undo_comm_escape(line.substr(0, 64));
      continue;
    }
    const auto word = next_word(line);
    const auto number = parse_number<std::uint64_t>(word);
    if (key == "State" && !word.empty()) {
      status.state = word.front();
    } else if (key == "Tgid") {
      const auto tgid = parse_number<Pid>(word);
      has_tgid = tgid.has_value();
      status.tgid = tgid.value_or(0);
    } else if (key == "Pid") {
      status.pid = parse_number<Pid>(word).value_or(0);
    } else if (key == "VmSize") {
      status.has_memory = true;
    } else if (key == "VmRSS") {
      status.resident_bytes = times(number, 1024);
    } else if (key == "Threads") {
      status.thread_count = number;
    } else if (key == "voluntary_ctxt_switches" || key == "nonvoluntary_ctxt_switches") {
      status.switch_count += number.value_or(0);
    }
  }
  if (!has_tgid || status.state == '\0') {
    return std::nullopt;
  }
  return status;
}

std::optional<std::uint64_t> parse_stat_start_ticks(std::string_view text) {
  const auto paren = text.rfind(')');
  if (paren == std::string_view::npos) {
    return std::nullopt;
  }
  text.remove_prefix(paren + 1);
  for (int field = 3; field < 22; ++field) {
    std::ignore = next_word(text);
  }
  return parse_number<std::uint64_t>(trimmed(next_word(text)));
}

std::string parse_cgroup2_mount(std::string_view mountinfo) {
  // "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw"
  while (!mountinfo.empty()) {
    auto line = next_field(mountinfo, '\n');
    const auto dash = line.find(" - ");
    if (dash == std::string_view::npos || !line.substr(dash + 3).starts_with("cgroup2 ")) {
      continue;
    }
    for (int field = 0; field < 3; ++field) {
      std::ignore = next_word(line);
    }
    const auto root_in_mount = next_word(line);
    const auto mount_point = next_word(line);
    // A bind mount of a subtree is not the hierarchy, except in a cgroup namespace ("/../..").
    if (root_in_mount == "/") {
      return undo_octal(mount_point);
    }
  }
  return {};
}

std::optional<std::uint64_t> parse_sysctl_unsigned(std::string_view text) {
  return parse_number<std::uint64_t>(trimmed(text));
}

std::optional<std::int64_t> parse_sysctl_signed(std::string_view text) {
  return parse_number<std::int64_t>(trimmed(text));
}

}  // namespace hvguard::observe
