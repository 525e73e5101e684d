// Parsers of cgroup v2 files and the naming rules of systemd's cgroup tree: text in, struct out,
// no I/O. Called by the sampler thread and the probe; fuzzed by tests/fuzz/fuzz_cgroupfs.cpp.
// Formats: Documentation/admin-guide/cgroup-v2.rst.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/counter.h"
#include "base/ids.h"
#include "model/snapshot.h"

namespace hvguard::observe {

// A file with one number; none for "max" and for what is no number.
[[nodiscard]] std::optional<std::uint64_t> parse_single_value(std::string_view text);

// The value of one key in a flat keyed file ("usage_usec 1234\n…").
[[nodiscard]] std::optional<std::uint64_t> parse_flat_keyed(std::string_view text,
                                                            std::string_view key);

// One line of io.stat: "254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0 …".
struct IoStatLine {
  DeviceId device;
  Counter read_bytes;
  Counter write_bytes;
  Counter read_operations;
  Counter write_operations;
  Counter discard_bytes;
  Counter discard_operations;
};
// Lines that are only a device number (nothing done yet) are left out; at most max_lines.
[[nodiscard]] std::vector<IoStatLine> parse_io_stat(std::string_view text, std::size_t max_lines);

// The numbers in cgroup.procs; at most max_count. `truncated` tells that there were more.
struct PidList {
  std::vector<Pid> pids;
  bool truncated = false;
};
[[nodiscard]] PidList parse_pids(std::string_view text, std::size_t max_count);

// Is the word in a blank-separated list ("cpu io memory pids\n")?
[[nodiscard]] bool has_word(std::string_view list, std::string_view word);

// The path on the "0::" line of /proc/PID/cgroup, without the " (deleted)" mark; none without
// such a line. "/a b/c" keeps its blanks; a path that leaves the tree ("/../x": outside our cgroup
// namespace) is none.
[[nodiscard]] std::optional<std::string_view> parse_cgroup2_path(std::string_view text);

// The deepest component that names a scope or a service, which is the unit systemd can limit:
// "/machine.slice/machine-qemu\x2d1.scope/libvirt/emulator" → unit "machine-qemu\x2d1.scope" and
// the path down to it. Empty unit and the whole path if there is none.
struct UnitPath {
  std::string_view unit;
  std::string_view path;
  bool of_user_manager = false;  // below user@UID.service: not a unit of PID 1
};
[[nodiscard]] UnitPath unit_of(std::string_view cgroup_path);

// The longest path that both lie in, cut at a slash; "/" if nothing is shared.
[[nodiscard]] std::string_view common_parent(std::string_view a, std::string_view b);

}  // namespace hvguard::observe
