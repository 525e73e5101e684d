#include "observe/cgroupfs.h"

#include <algorithm>

#include "base/parse.h"

namespace hvguard::observe {
namespace {

Counter* io_stat_field(IoStatLine& line, std::string_view key) {
  if (key == "rbytes") {
    return &line.read_bytes;
  }
  if (key == "wbytes") {
    return &line.write_bytes;
  }
  if (key == "rios") {
    return &line.read_operations;
  }
  if (key == "wios") {
    return &line.write_operations;
  }
  if (key == "dbytes") {
    return &line.discard_bytes;
  }
  return key == "dios" ? &line.discard_operations : nullptr;
}

std::optional<IoStatLine> parse_io_stat_line(std::string_view line) {
  const auto device = parse_device_id(next_word(line));
  if (!device) {
    return std::nullopt;
  }
  IoStatLine out;
  out.device = *device;
  bool any = false;
  while (true) {
    auto value = next_word(line);
    if (value.empty()) {
      break;
    }
    Counter* const field = io_stat_field(out, next_field(value, '='));
    const auto number = parse_number<std::uint64_t>(value);
    if (field != nullptr && number) {
      field->value = *number;
      any = true;
    }
  }
  return any ? std::optional(out) : std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> parse_single_value(std::string_view text) {
  return parse_number<std::uint64_t>(trimmed(text));
}

std::optional<std::uint64_t> parse_flat_keyed(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    auto line = next_field(text, '\n');
    if (next_word(line) == key) {
      return parse_number<std::uint64_t>(next_word(line));
    }
  }
  return std::nullopt;
}

std::vector<IoStatLine> parse_io_stat(std::string_view text, std::size_t max_lines) {
  std::vector<IoStatLine> lines;
  while (!text.empty() && lines.size() < max_lines) {
    if (const auto line = parse_io_stat_line(next_field(text, '\n'))) {
      lines.push_back(*line);
    }
  }
  return lines;
}

PidList parse_pids(std::string_view text, std::size_t max_count) {
  PidList list;
  while (!text.empty()) {
    const auto pid = parse_number<Pid>(trimmed(next_field(text, '\n')));
    if (!pid || *pid <= 0) {
      continue;  // 0: a process of another PID namespace, which we cannot name
    }
    if (list.pids.size() == max_count) {
      list.truncated = true;
      break;
    }
    list.pids.push_back(*pid);
  }
  return list;
}

bool has_word(std::string_view list, std::string_view word) {
  list = trimmed(list);
  while (!list.empty()) {
    if (next_word(list) == word) {
      return true;
    }
  }
  return false;
}

std::optional<std::string_view> parse_cgroup2_path(std::string_view text) {
  static constexpr std::string_view deleted_mark = " (deleted)";
  while (!text.empty()) {
    auto line = next_field(text, '\n');
    if (!line.starts_with("0::/")) {
      continue;
    }
    line.remove_prefix(3);
    if (line.ends_with(deleted_mark)) {
      line.remove_suffix(deleted_mark.size());
    }
    for (auto rest = line; !rest.empty();) {
      const auto component = next_field(rest, '/');
      if (component == "..") {
        return std::nullopt;
      }
    }
    return line;
  }
  return std::nullopt;
}

UnitPath unit_of(std::string_view cgroup_path) {
  UnitPath found;
  bool below_user_manager = false;
  std::size_t begin = 0;
  while (begin < cgroup_path.size()) {
    const auto end = std::min(cgroup_path.find('/', begin), cgroup_path.size());
    auto component = cgroup_path.substr(begin, end - begin);
    // systemd escapes names that would clash with the kernel's files by a leading "_"
    // (docs/CGROUP_DELEGATION.md).
    component.remove_prefix(component.starts_with('_') ? 1 : 0);
    if ((component.ends_with(".scope") && component.size() > 6) ||
        (component.ends_with(".service") && component.size() > 8)) {
      found = {component, cgroup_path.substr(0, end), below_user_manager};
      below_user_manager |= component.starts_with("user@");
    }
    begin = end + 1;
  }
  if (found.unit.empty()) {
    found.path = cgroup_path;
  }
  return found;
}

std::string_view common_parent(std::string_view a, std::string_view b) {
  std::size_t shared = 0;
  while (shared < a.size() && shared < b.size() && a[shared] == b[shared]) {
    ++shared;
  }
  const bool a_ends = shared == a.size() || a[shared] == '/';
  const bool b_ends = shared == b.size() || b[shared] == '/';
  if (!a_ends || !b_ends) {
    shared = a.substr(0, shared).rfind('/');
    shared = shared == std::string_view::npos ? 0 : shared;
  }
  return shared == 0 ? std::string_view("/") : a.substr(0, shared);
}

}  // namespace hvguard::observe
