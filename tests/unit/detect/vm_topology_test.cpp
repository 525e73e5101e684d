#include "detect/vm_topology.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "host/host.h"

namespace hvguard {
namespace {

using Problem = VmTopologyEvidence::Problem;
using test::Host;

class Topology {
 public:
  Host host;
  Topology() { host.add_vm("web01", 42); }
  VmReading& vm() { return host.vm("web01"); }
  std::vector<Finding> now() {
    return detect_vm_topology(VmTopologyConfig(), state_, *host.snapshot());
  }

 private:
  VmTopologyState state_;
};

const VmTopologyEvidence& evidence(const std::vector<Finding>& found) {
  return std::get<VmTopologyEvidence>(found.at(0).evidence);
}

TEST(VmTopology, AScopeOfItsOwnIsFine) {
  Topology topology;
  EXPECT_TRUE(topology.now().empty());
}

TEST(VmTopology, IsSilentBeforeTheProbeHasAnswered) {
  Topology topology;
  topology.vm().topology.foreign_process_count = 5;
  topology.vm().identity.probed = false;
  EXPECT_TRUE(topology.now().empty());
}

TEST(VmTopology, AnAgentsServiceTakesItsVmsDownWithIt) {
  Topology topology;
  topology.vm().identity.unit = "agent.service";
  topology.vm().identity.kill_mode = "control-group";
  topology.vm().topology.other_vm_count = 3;
  const auto found = topology.now();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].severity, Severity::kWarning);
  EXPECT_EQ(evidence(found).problems,
            (std::vector<Problem>{Problem::kSharedUnit, Problem::kKillMode}));
  EXPECT_NE(evidence(found).remedy.find("KillMode=process"), std::string::npos);
  topology.vm().identity.kill_mode = "process";
  EXPECT_EQ(evidence(topology.now()).problems, std::vector<Problem>{Problem::kSharedUnit});
}

TEST(VmTopology, AServicePerVmMayKillItsOwnGroup) {
  Topology topology;
  topology.vm().identity.unit = "qemu@101.service";
  topology.vm().identity.kill_mode = "control-group";
  EXPECT_TRUE(topology.now().empty());
}

TEST(VmTopology, AShellsQemuIsOneFinding) {
  Topology topology;
  topology.vm().identity.unit.clear();
  topology.vm().identity.cgroup_path = "/";
  topology.vm().topology = VmTopology{};
  topology.vm().topology.missing_controllers = {"cpu", "io", "memory", "pids"};
  const auto found = topology.now();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].severity, Severity::kInfo);
  EXPECT_EQ(evidence(found).problems,
            (std::vector<Problem>{Problem::kSharedUnit, Problem::kMissingControllers}));
  EXPECT_NE(evidence(found).remedy.find("systemd-run --scope"), std::string::npos);
}

TEST(VmTopology, MissingControllersNameTheCommand) {
  Topology topology;
  topology.vm().topology.missing_controllers = {"cpu"};
  EXPECT_TRUE(topology.now().empty());
  topology.vm().topology.missing_controllers = {"cpu", "io"};
  EXPECT_NE(evidence(topology.now()).remedy.find("systemctl set-property --runtime"),
            std::string::npos);
}

TEST(VmTopology, PidsHeadroomHasHysteresis) {
  Topology topology;
  const auto with_pids = [&](std::uint64_t count) {
    VmCgroupReading cgroup;
    cgroup.pids_count = count;
    cgroup.pids_max = 100;
    topology.vm().cgroup = cgroup;
    return topology.now().size();
  };
  EXPECT_EQ(with_pids(79), 0U);
  EXPECT_EQ(with_pids(80), 1U);
  EXPECT_EQ(with_pids(73), 1U);
  EXPECT_EQ(with_pids(71), 0U);
  EXPECT_EQ(with_pids(79), 0U);
}

TEST(VmTopology, UnlimitedOrUnknownPidsAreFine) {
  Topology topology;
  VmCgroupReading cgroup;
  cgroup.pids_count = 100'000;
  topology.vm().cgroup = cgroup;
  EXPECT_TRUE(topology.now().empty());
}

}  // namespace
}  // namespace hvguard
