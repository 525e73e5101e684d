#include "guard/own_place.h"

#include <array>
#include <string>

#include "base/fd.h"
#include "observe/cgroupfs.h"

namespace hvguard::guard {

OwnPlace read_own_place() {
  std::array<char, 8192> buffer{};
  const auto folder = DirFd::open("/proc/self");
  const auto text =
      folder ? read_file_at(*folder, "cgroup", buffer) : fail(Errc::kGone, "no /proc/self");
  if (!text) {
    return {};
  }
  const auto path = observe::parse_cgroup2_path(*text).value_or(std::string_view());
  return {.cgroup_path = std::string(path), .unit = std::string(observe::unit_of(path).unit)};
}

}  // namespace hvguard::guard
