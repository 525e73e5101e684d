// Times, devices, rates: what several nouns share.
#include <algorithm>

#include "publish/to_proto.h"

namespace hvguard::publish {
namespace {

constexpr std::int64_t kNanosPerSecond = 1'000'000'000;
// Range of google.protobuf.Timestamp: years 1 to 9999. A wall clock gone mad must not make a
// message that JSON printers refuse.
constexpr std::int64_t kMinSeconds = -62'135'596'800;
constexpr std::int64_t kMaxSeconds = 253'402'300'799;

}  // namespace

google::protobuf::Timestamp to_proto(WallTime time) {
  const std::int64_t total = time.since_epoch.count();
  std::int64_t seconds = total / kNanosPerSecond;
  std::int64_t nanos = total % kNanosPerSecond;
  if (nanos < 0) {  // a Timestamp's nanos count forward, before 1970 as well
    nanos += kNanosPerSecond;
    --seconds;
  }
  google::protobuf::Timestamp out;
  out.set_seconds(std::clamp(seconds, kMinSeconds, kMaxSeconds));
  out.set_nanos(static_cast<std::int32_t>(nanos));
  return out;
}

google::protobuf::Timestamp to_proto(BootTime time, const ClockPair& clocks) {
  return to_proto(to_wall(time, clocks.boot, clocks.wall));
}

google::protobuf::Duration to_proto(Nanoseconds duration) {
  google::protobuf::Duration out;
  out.set_seconds(duration.count() / kNanosPerSecond);
  out.set_nanos(static_cast<std::int32_t>(duration.count() % kNanosPerSecond));
  return out;
}

DeviceNames device_names(const TickResult& result) {
  DeviceNames names;
  if (result.snapshot) {
    for (const DeviceReading& device : result.snapshot->devices) {
      names.emplace(device.id, device.name);
    }
  }
  return names;
}

v1::Device to_proto(DeviceId id, const DeviceNames& names) {
  v1::Device out;
  out.set_major(id.major);
  out.set_minor(id.minor);
  if (const auto found = names.find(id); found != names.end()) {
    out.set_name(std::string(found->second));
  }
  return out;
}

v1::IoRates to_proto(const IoRates& rates) {
  v1::IoRates out;
  if (rates.operations_per_second) {
    out.set_operations_per_second(*rates.operations_per_second);
  }
  if (rates.bytes_per_second) {
    out.set_bytes_per_second(*rates.bytes_per_second);
  }
  return out;
}

ClockPair clocks_of(const TickResult& result, const ClockPair& now) {
  return result.snapshot ? ClockPair{result.snapshot->boot_time, result.snapshot->wall_time} : now;
}

}  // namespace hvguard::publish
