#include "publish/frame.h"

#include <random>
#include <string>

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

namespace hvguard::publish {
namespace {

// As a client puts a frame together: parts in order, merged.
v1::FramePart reassembled(const Frame& frame) {
  v1::FramePart whole;
  for (std::size_t i = 0; i < frame.packets.size(); ++i) {
    EXPECT_LE(frame.packets[i].size(), kMaxPacketBytes);
    v1::CorePacket packet;
    EXPECT_TRUE(packet.ParseFromString(frame.packets[i]));
    EXPECT_EQ(packet.frame_part().part(), i);
    EXPECT_EQ(packet.frame_part().last(), i + 1 == frame.packets.size());
    EXPECT_EQ(packet.frame_part().epoch(), 3U);
    EXPECT_EQ(packet.frame_part().tick(), 5U);
    whole.MergeFrom(packet.frame_part());
  }
  return whole;
}

FrameContent empty_content() {
  FrameContent content;
  content.epoch = 3;
  content.number = 5;
  content.status.mutable_agent()->set_version("1");
  return content;
}

TEST(Frame, NothingIsOnePacket) {
  const auto frame = encode_frame(empty_content());
  ASSERT_EQ(frame->packets.size(), 1U);
  EXPECT_EQ(reassembled(*frame).status().agent().version(), "1");
}

// Property: whatever the numbers and sizes of the items, the parts give back exactly what went in.
TEST(Frame, SplitAndReassembledIsTheSame) {
  std::mt19937 random(20261121);  // a fixed seed: a failure can be repeated
  const auto up_to = [&](std::size_t most) {
    return std::uniform_int_distribution<std::size_t>(0, most)(random);
  };
  for (int round = 0; round < 200; ++round) {
    FrameContent content = empty_content();
    v1::FramePart expected;
    for (std::size_t i = up_to(1500); i > 0; --i) {
      auto& device = *content.status.mutable_host()->add_devices();
      device.mutable_device()->set_name(std::string(up_to(40), 'd'));
      device.set_busy_ratio(0.5);
    }
    for (std::size_t i = up_to(300); i > 0; --i) {
      auto& vm = content.vms.emplace_back();
      vm.set_name(std::string(up_to(1 << up_to(15)), 'v'));
    }
    for (std::size_t i = up_to(300); i > 0; --i) {
      content.blocked_tasks.emplace_back().add_stack(std::string(up_to(1 << up_to(10)), 's'));
    }
    for (std::size_t i = up_to(50); i > 0; --i) {
      content.incidents.emplace_back().set_summary(std::string(up_to(1 << up_to(12)), 'i'));
    }
    for (std::size_t i = up_to(1000); i > 0; --i) {
      content.limits.emplace_back().set_reason(std::string(up_to(512), 'l'));
    }
    for (std::size_t i = up_to(256); i > 0; --i) {
      content.decisions.emplace_back().set_reason(std::string(up_to(512), 'd'));
    }
    *expected.mutable_status() = content.status;
    expected.mutable_limits()->Assign(content.limits.begin(), content.limits.end());
    expected.mutable_decisions()->Assign(content.decisions.begin(), content.decisions.end());
    expected.mutable_vms()->Assign(content.vms.begin(), content.vms.end());
    expected.mutable_blocked_tasks()->Assign(content.blocked_tasks.begin(),
                                             content.blocked_tasks.end());
    expected.mutable_incidents()->Assign(content.incidents.begin(), content.incidents.end());
    const auto frame = encode_frame(std::move(content));
    v1::FramePart whole = reassembled(*frame);
    EXPECT_EQ(frame->trimmed_count, 0U);
    expected.set_epoch(3);
    expected.set_tick(5);
    expected.set_part(static_cast<std::uint32_t>(frame->packets.size() - 1));
    expected.set_last(true);
    ASSERT_TRUE(google::protobuf::util::MessageDifferencer::Equals(whole, expected))
        << "round " << round;
  }
}

// Sizes around the packet's limit, byte by byte: off-by-one errors show here.
TEST(Frame, NoPacketIsEverTooLarge) {
  for (std::size_t size = kMaxPacketBytes - 700; size <= kMaxPacketBytes + 10; ++size) {
    FrameContent content = empty_content();
    content.incidents.emplace_back().set_summary("first");
    auto& vm = content.vms.emplace_back();
    vm.set_name(std::string(size, 'v'));
    const auto frame = encode_frame(std::move(content));
    const v1::FramePart whole = reassembled(*frame);
    ASSERT_EQ(whole.incidents_size(), 1);
    ASSERT_EQ(static_cast<std::uint32_t>(1 - whole.vms_size()), frame->trimmed_count) << size;
  }
}

TEST(Frame, AVmWithTooManyDevicesKeepsSomeAndCountsTheRest) {
  FrameContent content = empty_content();
  auto& vm = content.vms.emplace_back();
  vm.set_name("big");
  for (int i = 0; i < 400; ++i) {
    auto& device = *vm.add_device_ios();
    device.mutable_device()->set_minor(static_cast<std::uint32_t>(i));
    for (int bucket = 0; bucket < 28; ++bucket) {
      device.mutable_read_totals()->add_queue_time_buckets(1'000'000'000'000);
    }
  }
  content.vms.emplace_back().set_name("small");
  const auto frame = encode_frame(std::move(content));
  const v1::FramePart whole = reassembled(*frame);
  ASSERT_EQ(whole.vms_size(), 2);
  EXPECT_GT(whole.vms(0).device_ios_size(), 100);
  EXPECT_EQ(whole.vms(0).device_ios_size() + static_cast<int>(frame->trimmed_count), 400);
  EXPECT_EQ(whole.trimmed_count(), frame->trimmed_count);
  EXPECT_EQ(whole.vms(1).name(), "small");
}

TEST(Frame, ErrorsAreSafeAndBounded) {
  v1::CorePacket packet;
  ASSERT_TRUE(packet.ParseFromString(encode_error("a\n" + std::string(5000, 'x'))));
  EXPECT_LE(packet.error().message().size(), 1024U);
  EXPECT_EQ(packet.error().message().substr(0, 6), "a\\x0ax");
}

}  // namespace
}  // namespace hvguard::publish
