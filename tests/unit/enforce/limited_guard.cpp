// limited_guard HELPER RUNTIME CGROUP_ROOT SEED PATH…: an Enforcer that sets, changes and takes
// back random limits of the given cgroups as fast as it can, until it is killed. For restorer_test.
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include <sys/stat.h>

#include "base/parse.h"
#include "enforce/enforcer.h"

namespace hvguard::enforce {
namespace {

VmReading vm_at(const std::string& root, const std::string& path, int number) {
  struct stat info{};
  ::stat((root + path).c_str(), &info);
  VmReading vm;
  vm.id = {number, BootTime{std::chrono::seconds(1)}, CgroupId{info.st_ino}};
  vm.identity.cgroup_path = path;
  vm.cgroups = {vm.id.cgroup};
  return vm;
}

DesiredLimits random_limits(const std::vector<VmReading>& vms, std::mt19937& random) {
  DesiredLimits desired;
  for (const VmReading& vm : vms) {
    for (const auto& [kind, unit] : {std::pair(LimitKind::kReadBytes, std::uint64_t{1} << 20),
                                     std::pair(LimitKind::kReadOperations, std::uint64_t{100}),
                                     std::pair(LimitKind::kMemoryHigh, std::uint64_t{1} << 28),
                                     std::pair(LimitKind::kCpuMax, std::uint64_t{100'000}),
                                     std::pair(LimitKind::kPidsMax, std::uint64_t{512})}) {
      if (random() % 3 == 0) {
        continue;
      }
      Limit limit;
      limit.key = {vm.id, kind, is_per_device(kind) ? DeviceId{8, 0} : DeviceId{}};
      limit.value = unit * (1 + random() % 9);
      desired.push_back(limit);
    }
  }
  return desired;
}

int run(const std::vector<std::string>& words) {
  sd_event* event = nullptr;
  if (words.size() < 6 || sd_event_new(&event) < 0) {
    return 2;
  }
  std::vector<VmReading> vms;
  for (std::size_t i = 5; i < words.size(); ++i) {
    vms.push_back(vm_at(words[3], words[i], static_cast<int>(i)));
  }
  EnforcerOptions options;
  options.helper_path = words[1];
  options.runtime_folder = words[2];
  options.cgroup_root = words[3];
  options.connect = [] { return Result<Bus>(fail(Errc::kUnavailable, "no bus here")); };
  auto enforcer = Enforcer::create(event, options);
  if (!enforcer) {
    return 1;
  }
  std::mt19937 random(parse_number<std::uint32_t>(words[4]).value_or(1));
  for (;;) {
    const DesiredLimits desired = random_limits(vms, random);
    for (int i = 0; i < 4; ++i) {
      (*enforcer)->tick(LimitMode::kEnforce, desired, vms, false, boot_time_now());
      sd_event_run(event, 1'000);
    }
  }
}

}  // namespace
}  // namespace hvguard::enforce

int main(int argc, char** argv) {
  return hvguard::enforce::run({argv, argv + argc});
}
