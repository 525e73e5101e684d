// Every parser of cgroup v2 files, the naming rules of units, and the probe's messages get any
// text; what is returned keeps the promises of observe/cgroupfs.h and observe/probe_protocol.h.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "observe/cgroupfs.h"
#include "observe/probe_protocol.h"

namespace {

void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hvguard::observe;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(parse_single_value(text));
  static_cast<void>(parse_flat_keyed(text, "usage_usec"));
  static_cast<void>(has_word(text, "io"));
  require(parse_io_stat(text, 8).size() <= 8);
  const auto pids = parse_pids(text, 8);
  require(pids.pids.size() <= 8);
  for (const auto pid : pids.pids) {
    require(pid > 0);
  }
  if (const auto path = parse_cgroup2_path(text)) {
    require(path->starts_with('/'));
    const auto unit = unit_of(*path);
    require(path->starts_with(unit.path));
    require(unit.unit.empty() || unit.path.ends_with(unit.unit));
  }
  const auto half = text.substr(0, size / 2);
  const auto parent = common_parent(text, half);
  require(parent == "/" || (text.starts_with(parent) && half.starts_with(parent)));
  if (const auto answer = decode_answer(text)) {
    require(encode(*answer).size() <= kMaxProbeMessageBytes);
  }
  if (const auto request = decode_request(text)) {
    require(request->tgid > 0);
  }
  return 0;
}
