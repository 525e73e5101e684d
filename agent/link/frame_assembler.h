// FrameAssembler: packets of core.sock become frames (proto/hvguard/v1/core_link.proto).
// Used by CoreConnection on one thread; no I/O. Packets may come in any order and say anything:
// what does not fit gives up the frame begun and waits for the next part 0, and is counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "hvguard/v1/core_link.pb.h"

namespace hvguard::link {

// The whole state after one tick of hvguardd.
struct Frame {
  std::uint64_t epoch = 0;
  std::uint64_t tick = 0;
  v1::Status status;
  std::vector<v1::Vm> vms;
  std::vector<v1::BlockedTask> blocked_tasks;
  std::vector<v1::Incident> incidents;
  std::vector<v1::Limit> limits;
  std::vector<v1::Decision> decisions;
  std::uint64_t trimmed_count = 0;  // see FramePart.trimmed_count
};

// Largest packet that hvguardd sends.
inline constexpr std::size_t kMaxPacketBytes = 64 * 1024;
// A frame larger than this is given up. hvguardd's own bounds (2048 VMs, 4096 blocked tasks) make
// frames of some 10 MiB at the very worst.
inline constexpr std::size_t kMaxFrameBytes = 24 * 1024 * 1024;

// What the reader needs of frames. Who needs little also holds little, whatever hvguardd sends.
enum class Contents {
  kAll,
  kStatusAndIncidents,  // without disks and limits, and incidents without evidence
};

class FrameAssembler {
 public:
  explicit FrameAssembler(Contents contents = Contents::kAll) : contents_(contents) {}

  // A frame when this packet completed one. kUnavailable: hvguardd refused us, with its words;
  // kInvalid: not a packet of this protocol. After either the connection is of no more use.
  Result<std::optional<Frame>> add(std::string_view packet);

  // Frames begun and given up, since the start.
  [[nodiscard]] std::uint64_t discarded_count() const { return discarded_count_; }

 private:
  [[nodiscard]] bool continues_frame(const v1::FramePart& part) const;
  void discard();
  void append(v1::FramePart&& part);

  Contents contents_;
  std::optional<Frame> frame_;  // begun; none while waiting for a part 0
  std::uint32_t next_part_ = 0;
  std::size_t frame_bytes_ = 0;
  std::uint64_t discarded_count_ = 0;
};

}  // namespace hvguard::link
