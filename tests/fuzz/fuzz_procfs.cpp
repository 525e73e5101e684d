// Every parser of /proc files gets any text. Beyond not crashing: what is returned keeps the
// promises of observe/procfs.h.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/parse.h"
#include "observe/kvm_uevents.h"
#include "observe/procfs.h"

namespace {

void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

void check_line(const std::optional<hvguard::PressureLine>& line) {
  if (line) {
    require(line->avg10_ratio >= 0 && line->avg10_ratio <= 1);
    require(line->avg60_ratio >= 0 && line->avg60_ratio <= 1);
    require(line->avg300_ratio >= 0 && line->avg300_ratio <= 1);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hvguard::observe;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto pressure = parse_pressure(text)) {
    require(pressure->some || pressure->full);
    check_line(pressure->some);
    check_line(pressure->full);
  }
  static_cast<void>(parse_vmstat(text));
  static_cast<void>(parse_meminfo(text));
  if (const auto load = parse_loadavg(text)) {
    require(load->load.one_minute >= 0);
  }
  if (const auto status = parse_task_status(text)) {
    require(status->comm.size() <= 64 && status->state != '\0');
  }
  static_cast<void>(parse_stat_start_ticks(text));
  static_cast<void>(parse_cgroup2_mount(text));
  static_cast<void>(parse_sysctl_unsigned(text));
  static_cast<void>(parse_sysctl_signed(text));
  if (const auto event = parse_kvm_event(text)) {
    require(event->pid > 0);
  }
  auto rest = text;
  while (!rest.empty()) {
    if (const auto line = parse_diskstats_line(hvguard::next_field(rest, '\n'))) {
      require(!line->name.empty());
    }
  }
  return 0;
}
