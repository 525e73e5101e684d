#include "observe/cgroupfs.h"

#include <gtest/gtest.h>

namespace hvguard::observe {
namespace {

TEST(SingleValue, MaxAndBrokenAreNone) {
  EXPECT_EQ(parse_single_value("4096\n"), 4096U);
  EXPECT_EQ(parse_single_value("0"), 0U);
  for (const auto* const text : {"max\n", "", "\n", "12x", "-1", "18446744073709551616"}) {
    EXPECT_FALSE(parse_single_value(text)) << text;
  }
}

TEST(FlatKeyed, TakesTheWholeKey) {
  constexpr std::string_view kText = "usage_usec_x 1\nusage_usec 18446744073709551615\nuser_usec 2";
  EXPECT_EQ(parse_flat_keyed(kText, "usage_usec"), 18446744073709551615U);
  EXPECT_EQ(parse_flat_keyed(kText, "user_usec"), 2U);
  EXPECT_FALSE(parse_flat_keyed(kText, "usage"));
  EXPECT_FALSE(parse_flat_keyed("usage_usec\n", "usage_usec"));
  EXPECT_FALSE(parse_flat_keyed("", "usage_usec"));
}

TEST(IoStat, ReadsLinesWithIo) {
  const auto lines = parse_io_stat(
      "7:0 \n254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.usage=9\n"
      "259:1 rbytes=10 wbytes=max rios=x\nx:1 rbytes=1\n254:16 rbytes=7",
      16);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0].device, (DeviceId{254, 0}));
  EXPECT_EQ(lines[0].read_bytes.value, 1U);
  EXPECT_EQ(lines[0].write_bytes.value, 2U);
  EXPECT_EQ(lines[0].read_operations.value, 3U);
  EXPECT_EQ(lines[0].write_operations.value, 4U);
  EXPECT_EQ(lines[0].discard_bytes.value, 5U);
  EXPECT_EQ(lines[0].discard_operations.value, 6U);
  EXPECT_EQ(lines[1].read_bytes.value, 10U);
  EXPECT_EQ(lines[2].device, (DeviceId{254, 16}));
  EXPECT_EQ(parse_io_stat("1:0 rios=1\n2:0 rios=1\n3:0 rios=1\n", 2).size(), 2U);
}

TEST(Pids, BoundIsTold) {
  const auto list = parse_pids("1\n22\n0\nx\n333", 8);
  EXPECT_EQ(list.pids, (std::vector<Pid>{1, 22, 333}));
  EXPECT_FALSE(list.truncated);
  const auto cut = parse_pids("1\n2\n3\n", 2);
  EXPECT_EQ(cut.pids.size(), 2U);
  EXPECT_TRUE(cut.truncated);
}

TEST(Words, AreWhole) {
  EXPECT_TRUE(has_word("cpuset cpu io memory\n", "memory"));
  EXPECT_FALSE(has_word("cpuset io\n", "cpu"));
  EXPECT_FALSE(has_word("", "cpu"));
}

TEST(CgroupPath, IsTheUnifiedOne) {
  EXPECT_EQ(parse_cgroup2_path("4:cpu:/x\n1:name=systemd:/init.scope\n0::/machine.slice/a.scope\n"),
            "/machine.slice/a.scope");
  EXPECT_EQ(parse_cgroup2_path("0::/a (deleted)\n"), "/a");
  EXPECT_EQ(parse_cgroup2_path("0::/a b/c"), "/a b/c");
  EXPECT_FALSE(parse_cgroup2_path("0::/../outside\n"));
  EXPECT_FALSE(parse_cgroup2_path("0::\n"));
  EXPECT_FALSE(parse_cgroup2_path("4:cpu:/x\n"));
  EXPECT_FALSE(parse_cgroup2_path(""));
}

TEST(UnitOf, IsTheDeepestScopeOrService) {
  struct Case {
    std::string_view path;
    std::string_view unit;
    std::string_view unit_path;
    bool of_user_manager;
  };
  for (const auto& c : {
           Case{"/machine.slice/machine-qemu\\x2d1\\x2dweb.scope/libvirt/emulator",
                "machine-qemu\\x2d1\\x2dweb.scope",
                "/machine.slice/machine-qemu\\x2d1\\x2dweb.scope",
                false},
           Case{"/qemu.slice/100.scope", "100.scope", "/qemu.slice/100.scope", false},
           Case{
               "/system.slice/fc.service/payload", "fc.service", "/system.slice/fc.service", false},
           Case{"/user.slice/user-0.slice/user@0.service/app.slice/vm.scope",
                "vm.scope",
                "/user.slice/user-0.slice/user@0.service/app.slice/vm.scope",
                true},
           Case{"/user.slice/user-0.slice/user@0.service/x",
                "user@0.service",
                "/user.slice/user-0.slice/user@0.service",
                false},
           Case{"/system.slice/_cpu.service", "cpu.service", "/system.slice/_cpu.service", false},
           Case{"/firecracker/vm1", "", "/firecracker/vm1", false},
           Case{"/.scope/x", "", "/.scope/x", false},
           Case{"/", "", "/", false},
       }) {
    const auto unit = unit_of(c.path);
    EXPECT_EQ(unit.unit, c.unit) << c.path;
    EXPECT_EQ(unit.path, c.unit_path) << c.path;
    EXPECT_EQ(unit.of_user_manager, c.of_user_manager) << c.path;
  }
}

TEST(CommonParent, IsCutAtASlash) {
  EXPECT_EQ(common_parent("/a/b.scope/libvirt/emulator", "/a/b.scope/libvirt/vcpu0"),
            "/a/b.scope/libvirt");
  EXPECT_EQ(common_parent("/a/b", "/a/bc"), "/a");
  EXPECT_EQ(common_parent("/a/b", "/a/b"), "/a/b");
  EXPECT_EQ(common_parent("/a/b", "/a/b/c"), "/a/b");
  EXPECT_EQ(common_parent("/a", "/b"), "/");
  EXPECT_EQ(common_parent("/", "/b"), "/");
}

}  // namespace
}  // namespace hvguard::observe
