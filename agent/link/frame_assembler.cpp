#include "link/frame_assembler.h"

#include <utility>

#include <fmt/format.h>

#include "base/text.h"

namespace hvguard::link {
namespace {

constexpr std::size_t kMaxErrorBytes = 512;

template <class Message>
void move_all(google::protobuf::RepeatedPtrField<Message>& from, std::vector<Message>& to) {
  to.reserve(to.size() + static_cast<std::size_t>(from.size()));
  for (Message& item : from) {
    to.push_back(std::move(item));
  }
}

}  // namespace

Result<std::optional<Frame>> FrameAssembler::add(std::string_view bytes) {
  v1::CorePacket packet;
  if (bytes.size() > kMaxPacketBytes ||
      !packet.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return fail(Errc::kInvalid,
                "hvguardd sent something that is not of this protocol: are hvguardd and this "
                "program of the same version?");
  }
  if (packet.has_error()) {
    return fail(
        Errc::kUnavailable,
        fmt::format("hvguardd refused: {}", safe_text(packet.error().message(), kMaxErrorBytes)));
  }
  if (!packet.has_frame_part()) {
    return std::optional<Frame>();  // a kind of packet that a newer hvguardd knows
  }

  v1::FramePart& part = *packet.mutable_frame_part();
  const bool begins = part.part() == 0 && part.has_status();
  if (begins) {
    discard();
    frame_.emplace();
    frame_->epoch = part.epoch();
    frame_->tick = part.tick();
  } else if (!continues_frame(part)) {
    discard();
    return std::optional<Frame>();
  }
  frame_bytes_ += bytes.size();
  if (frame_bytes_ > kMaxFrameBytes) {
    discard();
    return std::optional<Frame>();
  }

  const bool last = part.last();
  append(std::move(part));
  if (!last) {
    return std::optional<Frame>();
  }
  std::optional<Frame> whole = std::exchange(frame_, std::nullopt);
  next_part_ = 0;
  frame_bytes_ = 0;
  return whole;
}

bool FrameAssembler::continues_frame(const v1::FramePart& part) const {
  return frame_ && part.part() == next_part_ && part.epoch() == frame_->epoch &&
         part.tick() == frame_->tick;
}

void FrameAssembler::discard() {
  if (frame_) {
    ++discarded_count_;
  }
  frame_.reset();
  next_part_ = 0;
  frame_bytes_ = 0;
}

void FrameAssembler::append(v1::FramePart&& part) {
  if (contents_ == Contents::kStatusAndIncidents) {
    part.clear_vms();
    part.clear_blocked_tasks();
    part.clear_limits();
    part.clear_decisions();
    if (part.has_status()) {
      part.mutable_status()->mutable_host()->clear_devices();
    }
    for (v1::Incident& incident : *part.mutable_incidents()) {
      incident.clear_evidence();
    }
  }
  if (part.has_status()) {
    frame_->status.MergeFrom(part.status());
  }
  move_all(*part.mutable_vms(), frame_->vms);
  move_all(*part.mutable_blocked_tasks(), frame_->blocked_tasks);
  move_all(*part.mutable_incidents(), frame_->incidents);
  move_all(*part.mutable_limits(), frame_->limits);
  move_all(*part.mutable_decisions(), frame_->decisions);
  frame_->trimmed_count += part.trimmed_count();
  ++next_part_;
}

}  // namespace hvguard::link
