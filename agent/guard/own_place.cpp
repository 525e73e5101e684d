#include "guard/own_place.h"

#include <array>
#include <string>
#include <vector>

#include "base/fd.h"
#include "observe/cgroupfs.h"
#include "observe/procfs.h"

namespace hvguard::guard {
namespace {

constexpr std::size_t kMaxMountInfoBytes = std::size_t{1} << 20;

}  // namespace

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

std::string read_cgroup_mount() {
  std::vector<char> buffer(kMaxMountInfoBytes);
  const auto folder = DirFd::open("/proc/self");
  const auto text =
      folder ? read_file_at(*folder, "mountinfo", buffer) : fail(Errc::kGone, "no /proc/self");
  std::string path = text ? observe::parse_cgroup2_mount(*text) : std::string();
  return path.empty() ? "/sys/fs/cgroup" : path;
}

}  // namespace hvguard::guard
