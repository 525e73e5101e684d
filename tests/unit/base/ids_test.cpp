#include "base/ids.h"

#include <limits>
#include <string>

#include <gtest/gtest.h>

namespace hvguard {
namespace {

TEST(Ids, VmIdRoundTrip) {
  const VmId ids[] = {
      {},
      {.tgid = 4711, .start = BootTime{std::chrono::seconds(1000)}, .cgroup = CgroupId{23}},
      {.tgid = std::numeric_limits<Pid>::max(),
       .start = BootTime{Nanoseconds(std::numeric_limits<std::int64_t>::max())},
       .cgroup = CgroupId{std::numeric_limits<std::uint64_t>::max()}},
  };
  for (const VmId& id : ids) {
    const auto back = parse_vm_id(to_string(id));
    ASSERT_TRUE(back.has_value()) << to_string(id);
    EXPECT_EQ(*back, id);
  }
}

TEST(Ids, VmIdIsSafeInPaths) {
  const VmId id{.tgid = 4711, .start = BootTime{Nanoseconds(0xe8d4a51000)}, .cgroup = {23}};
  EXPECT_EQ(to_string(id), "4711-e8d4a51000-23");
}

TEST(Ids, BrokenVmIdsAreRefused) {
  for (const std::string text : {"",
                                 "-",
                                 "--",
                                 "1-2",
                                 "1--2",
                                 "-1-2-3",
                                 "1-2-3-4",
                                 "1-xyz-3",
                                 "1-2-3 ",
                                 " 1-2-3",
                                 "1-2-18446744073709551616",
                                 "2147483648-2-3",
                                 "1-ffffffffffffffff-3",
                                 "../../etc/passwd"}) {
    const auto id = parse_vm_id(text);
    EXPECT_FALSE(id.has_value()) << text;
    if (!id) {
      EXPECT_EQ(id.error().code, Errc::kInvalid);
      EXPECT_FALSE(id.error().message.empty());
    }
  }
}

TEST(Ids, DeviceIdRoundTrip) {
  for (const DeviceId id : {DeviceId{}, DeviceId{8, 0}, DeviceId{4095, 1048575}}) {
    const auto back = parse_device_id(to_string(id));
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(*back, id);
  }
  EXPECT_EQ(to_string(DeviceId{254, 3}), "254:3");
}

TEST(Ids, BrokenDeviceIdsAreRefused) {
  for (const std::string text :
       {"", ":", "8", "8:", ":0", "8:0:0", "8:-1", "8 :0", "4294967296:0"}) {
    EXPECT_FALSE(parse_device_id(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace hvguard
