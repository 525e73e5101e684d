// Frame: the whole state after one tick, encoded once as packets for core.sock and shared by all
// clients. Pure; the loop thread makes it, once per tick.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hvguard/v1/core_link.pb.h"
#include "publish/to_proto.h"

namespace hvguard::publish {

// A SEQPACKET message of this size still fits the default net.core.wmem_max (208 KiB) twice.
inline constexpr std::size_t kMaxPacketBytes = 64 * 1024;

struct Frame {
  std::vector<std::string> packets;  // serialized CorePacket, each at most kMaxPacketBytes
  std::uint32_t trimmed_count = 0;   // sum of FramePart.trimmed_count
};

// What a frame holds, before it is cut.
struct FrameContent {
  std::uint64_t epoch = 0;
  std::uint64_t number = 0;
  v1::Status status;
  std::vector<v1::Vm> vms;
  std::vector<v1::BlockedTask> blocked_tasks;
  std::vector<v1::Incident> incidents;
  std::vector<v1::Limit> limits;
  std::vector<v1::Decision> decisions;
};

// `number` counts frames from 1. `now` is only used where the result has no Snapshot. Decisions are
// not the result's alone: the caller adds what a DecisionLog remembers.
[[nodiscard]] FrameContent frame_content(const TickResult& result,
                                         const AgentFigures& agent,
                                         std::uint64_t number,
                                         const ClockPair& now);

// Cuts the content into packets. What alone is larger than a packet loses the tail of its longest
// list (devices of a VM, tasks and stack of an incident), and that is counted.
[[nodiscard]] std::shared_ptr<const Frame> encode_frame(FrameContent content);

// The packet that tells a client why its connection is closed next.
[[nodiscard]] std::string encode_error(std::string_view message);

}  // namespace hvguard::publish
