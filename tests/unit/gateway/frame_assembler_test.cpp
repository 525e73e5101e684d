#include "link/frame_assembler.h"

#include <gtest/gtest.h>

#include "sample_frame.h"

namespace hvguard::link {
namespace {

using test::kSampleTime;
using test::sample_frame;
using test::to_packets;

std::optional<Frame> add_ok(FrameAssembler& assembler, const std::string& packet) {
  auto added = assembler.add(packet);
  EXPECT_TRUE(added) << added.error().message;
  return added ? std::move(*added) : std::nullopt;
}

TEST(FrameAssembler, MakesAFrameOfItsParts) {
  const Frame sent = sample_frame(5, kSampleTime, 50);
  const auto packets = to_packets(sent);
  ASSERT_GT(packets.size(), 2U);
  FrameAssembler assembler;
  for (std::size_t i = 0; i + 1 < packets.size(); ++i) {
    EXPECT_FALSE(add_ok(assembler, packets[i]));
  }
  const auto frame = add_ok(assembler, packets.back());
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->epoch, 7U);
  EXPECT_EQ(frame->tick, 5U);
  EXPECT_EQ(frame->vms.size(), 50U);
  EXPECT_EQ(frame->blocked_tasks.size(), 2U);
  EXPECT_EQ(frame->incidents.size(), sent.incidents.size());
  EXPECT_EQ(frame->status.SerializeAsString(), sent.status.SerializeAsString());
  EXPECT_EQ(assembler.discarded_count(), 0U);
}

TEST(FrameAssembler, MergesTheStatusOfLaterParts) {
  const Frame sent = sample_frame(5, kSampleTime, 1);
  auto packets = to_packets(sent, 2);
  v1::CorePacket last;
  ASSERT_TRUE(last.ParseFromString(packets.back()));
  last.mutable_frame_part()->mutable_status()->mutable_host()->add_devices()->set_busy_ratio(0.5);
  packets.back() = last.SerializeAsString();
  FrameAssembler assembler;
  std::optional<Frame> frame;
  for (const std::string& packet : packets) {
    frame = add_ok(assembler, packet);
  }
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->status.host().devices_size(), sent.status.host().devices_size() + 1);
  EXPECT_EQ(frame->status.host().hostname(), "hv07");
}

TEST(FrameAssembler, GivesUpAFrameWithAHoleAndTakesTheNext) {
  const auto broken = to_packets(sample_frame(5, kSampleTime, 60));
  const auto whole = to_packets(sample_frame(6, kSampleTime, 60));
  FrameAssembler assembler;
  for (std::size_t i = 0; i < broken.size(); ++i) {
    if (i != 1) {
      EXPECT_FALSE(add_ok(assembler, broken[i]));
    }
  }
  EXPECT_EQ(assembler.discarded_count(), 1U);
  std::optional<Frame> frame;
  for (const std::string& packet : whole) {
    frame = add_ok(assembler, packet);
  }
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->tick, 6U);
  EXPECT_EQ(frame->vms.size(), 60U);
}

TEST(FrameAssembler, DoesNotMixTicksOrEpochs) {
  const auto first = to_packets(sample_frame(5, kSampleTime, 30));
  const auto second = to_packets(sample_frame(6, kSampleTime, 30));
  ASSERT_EQ(first.size(), second.size());
  FrameAssembler assembler;
  EXPECT_FALSE(add_ok(assembler, first[0]));
  for (std::size_t i = 1; i < second.size(); ++i) {
    EXPECT_FALSE(add_ok(assembler, second[i]));
  }
  EXPECT_EQ(assembler.discarded_count(), 1U);
}

TEST(FrameAssembler, TakesNoPartsAgainOrInReverse) {
  auto packets = to_packets(sample_frame(5, kSampleTime, 60));
  FrameAssembler assembler;
  EXPECT_FALSE(add_ok(assembler, packets[0]));
  EXPECT_FALSE(add_ok(assembler, packets[1]));
  EXPECT_FALSE(add_ok(assembler, packets[1]));
  for (auto it = packets.rbegin(); it != packets.rend(); ++it) {
    EXPECT_FALSE(add_ok(assembler, *it));
  }
}

TEST(FrameAssembler, GivesUpAFrameThatIsTooLarge) {
  v1::CorePacket packet;
  auto& part = *packet.mutable_frame_part();
  part.mutable_status();
  FrameAssembler assembler;
  EXPECT_FALSE(add_ok(assembler, packet.SerializeAsString()));
  part.clear_status();
  part.add_vms()->set_name(std::string(60'000, 'x'));
  for (std::uint32_t i = 1; i <= kMaxFrameBytes / 60'000 + 1; ++i) {
    part.set_part(i);
    EXPECT_FALSE(add_ok(assembler, packet.SerializeAsString()));
  }
  EXPECT_EQ(assembler.discarded_count(), 1U);
}

TEST(FrameAssembler, PassesOnARefusalWithoutItsEscapeCodes) {
  v1::CorePacket packet;
  packet.mutable_error()->set_message("go away\x1b[2J");
  FrameAssembler assembler;
  const auto added = assembler.add(packet.SerializeAsString());
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, Errc::kUnavailable);
  EXPECT_EQ(added.error().message, "hvguardd refused: go away\\x1b[2J");
}

TEST(FrameAssembler, RefusesWhatIsNoPacket) {
  FrameAssembler assembler;
  const auto added = assembler.add("\xff\xff\xff\xff");
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, Errc::kInvalid);
  EXPECT_FALSE(assembler.add(std::string(kMaxPacketBytes + 1, '\0')));
}

TEST(FrameAssembler, SurvivesEveryTruncationAndFlippedByte) {
  const std::string packet = to_packets(sample_frame(5, kSampleTime, 1), 1000)[0];
  for (std::size_t i = 0; i < packet.size(); ++i) {
    FrameAssembler assembler;
    [[maybe_unused]] const auto cut = assembler.add(packet.substr(0, i));
    std::string flipped = packet;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x55);
    [[maybe_unused]] const auto added = assembler.add(flipped);
  }
}

}  // namespace
}  // namespace hvguard::link
