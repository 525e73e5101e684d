#include "publish/frame.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "publish/to_proto_limit.h"

namespace hvguard::publish {
namespace {

// Room of a packet for items, so that the rest (tags and lengths of CorePacket and FramePart,
// epoch, tick, numbers) always fits beside them.
constexpr std::size_t kItemRoom = kMaxPacketBytes - 256;
constexpr std::size_t kItemOverhead = 8;  // tag and length of one item, with a margin
constexpr std::size_t kMaxErrorBytes = 1024;

template <class Item>
std::size_t room_of(const Item& item) {
  return item.ByteSizeLong() + kItemOverhead;
}

// Of what is too large for a packet.
std::uint32_t trim(v1::Vm& vm) {
  std::uint32_t trimmed = 0;
  while (room_of(vm) > kItemRoom && vm.device_ios_size() > 0) {
    vm.mutable_device_ios()->RemoveLast();
    ++trimmed;
  }
  if (room_of(vm) > kItemRoom) {
    trimmed += static_cast<std::uint32_t>(vm.open_incident_ids_size());
    vm.clear_open_incident_ids();
  }
  return trimmed;
}

std::uint32_t trim(v1::Incident& incident) {
  incident.clear_evidence();
  return 1;
}

std::uint32_t trim(v1::BlockedTask& task) {
  task.clear_stack();
  return 1;
}

// Their texts are bounded: they always fit.
std::uint32_t trim(v1::Limit& /*limit*/) {
  return 0;
}

std::uint32_t trim(v1::Decision& /*decision*/) {
  return 0;
}

// Fills one part after the other; a part is closed when the next item does not fit.
class Cutter {
 public:
  Cutter(std::uint64_t epoch, std::uint64_t number) : epoch_(epoch), number_(number) {
    begin_part();
  }

  // What of the disks does not fit beside the rest of the status goes into later parts.
  void add_status(v1::Status status) {
    google::protobuf::RepeatedPtrField<v1::DeviceStatus> devices;
    if (status.has_host()) {
      devices.Swap(status.mutable_host()->mutable_devices());
    }
    room_ -= std::min(room_, room_of(status));
    *part().mutable_status() = std::move(status);
    for (v1::DeviceStatus& device : devices) {
      // A nested list grows the lengths around it as well.
      make_room(device.ByteSizeLong() + 2 * kItemOverhead);
      part().mutable_status()->mutable_host()->mutable_devices()->Add(std::move(device));
    }
  }

  template <class Item, class Add>
  void add(std::vector<Item> items, const Add& add_to) {
    for (Item& item : items) {
      std::size_t size = room_of(item);  // walks all of it: once, if it fits
      std::uint32_t trimmed = 0;
      if (size > kItemRoom) {
        trimmed = trim(item);
        size = room_of(item);
      }
      if (size > kItemRoom) {
        count_trimmed(1);  // nothing left to take from it: it goes as a whole
        continue;
      }
      make_room(size);
      *add_to(part()) = std::move(item);
      count_trimmed(trimmed);
    }
  }

  std::shared_ptr<const Frame> finish() && {
    part().set_last(true);
    close_part();
    return std::make_shared<const Frame>(std::move(frame_));
  }

 private:
  v1::FramePart& part() { return *packet_.mutable_frame_part(); }

  void begin_part() {
    packet_.Clear();
    part().set_epoch(epoch_);
    part().set_tick(number_);
    part().set_part(static_cast<std::uint32_t>(frame_.packets.size()));
    room_ = kItemRoom;
  }

  void close_part() { frame_.packets.push_back(packet_.SerializeAsString()); }

  void make_room(std::size_t size) {
    if (size > room_) {
      close_part();
      begin_part();
    }
    room_ -= std::min(room_, size);
  }

  void count_trimmed(std::uint32_t count) {
    part().set_trimmed_count(part().trimmed_count() + count);
    frame_.trimmed_count += count;
  }

  std::uint64_t epoch_;
  std::uint64_t number_;
  v1::CorePacket packet_;
  std::size_t room_ = 0;
  Frame frame_;
};

}  // namespace

FrameContent frame_content(const TickResult& result,
                           const AgentFigures& agent,
                           std::uint64_t number,
                           const ClockPair& now) {
  FrameContent content;
  content.epoch = agent.epoch;
  content.number = number;
  content.status = status_to_proto(result, agent, now);
  content.vms = vms_to_proto(result);
  content.blocked_tasks = blocked_tasks_to_proto(result);
  content.limits = limits_to_proto(result, now);
  count_limits(content.limits, *content.status.mutable_counts());
  const ClockPair clocks = clocks_of(result, now);
  const DeviceNames names = device_names(result);
  content.incidents.reserve(result.incidents.size());
  for (const Incident& incident : result.incidents) {
    content.incidents.push_back(to_proto(incident, clocks, names));
  }
  return content;
}

std::shared_ptr<const Frame> encode_frame(FrameContent content) {
  Cutter cutter(content.epoch, content.number);
  cutter.add_status(std::move(content.status));
  cutter.add(std::move(content.vms), [](v1::FramePart& part) { return part.add_vms(); });
  cutter.add(std::move(content.blocked_tasks),
             [](v1::FramePart& part) { return part.add_blocked_tasks(); });
  cutter.add(std::move(content.incidents),
             [](v1::FramePart& part) { return part.add_incidents(); });
  cutter.add(std::move(content.limits), [](v1::FramePart& part) { return part.add_limits(); });
  cutter.add(std::move(content.decisions),
             [](v1::FramePart& part) { return part.add_decisions(); });
  return std::move(cutter).finish();
}

std::string encode_error(std::string_view message) {
  v1::CorePacket packet;
  packet.mutable_error()->set_message(safe_text(message, kMaxErrorBytes));
  return packet.SerializeAsString();
}

}  // namespace hvguard::publish
