#include "observe/kvm_uevents.h"

#include <string>

#include <gtest/gtest.h>

namespace hvguard::observe {
namespace {

using namespace std::string_literals;

TEST(KvmUevent, CreateAndDestroy) {
  const auto created = parse_kvm_event(
      "change@/devices/virtual/misc/kvm\0ACTION=change\0SUBSYSTEM=misc\0COUNT=1\0EVENT=create\0"
      "PID=14958\0STATS_PATH=/kvm/14958-4\0"s);
  ASSERT_TRUE(created);
  EXPECT_TRUE(created->created);
  EXPECT_EQ(created->pid, 14958);
  const auto destroyed = parse_kvm_event("change@/devices/virtual/misc/kvm\0EVENT=destroy\0PID=7"s);
  ASSERT_TRUE(destroyed);
  EXPECT_FALSE(destroyed->created);
}

TEST(KvmUevent, OthersAreNone) {
  for (const auto& text : {""s,
                           "change@/devices/virtual/misc/kvm"s,
                           "change@/devices/virtual/misc/kvm\0EVENT=create\0"s,
                           "change@/devices/virtual/misc/kvm\0EVENT=create\0PID=x\0"s,
                           "change@/devices/virtual/misc/kvm\0EVENT=create\0PID=-4\0"s,
                           "add@/devices/virtual/block/dm-0\0EVENT=create\0PID=7\0"s,
                           "libudev\0EVENT=create\0PID=7\0"s}) {
    EXPECT_FALSE(parse_kvm_event(text));
  }
}

}  // namespace
}  // namespace hvguard::observe
