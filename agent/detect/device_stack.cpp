#include "detect/device_stack.h"

#include <algorithm>
#include <string>

namespace hvguard {
namespace {

constexpr std::size_t kMaxBeneath = 256;

bool is_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// block/genhd.c disk_name(): the partition number follows directly, or after a "p" if the disk's
// name ends in a digit.
bool is_partition_of(std::string_view name, std::string_view disk) {
  if (disk.empty() || !name.starts_with(disk)) {
    return false;
  }
  std::string_view rest = name.substr(disk.size());
  const bool ends_in_digit = is_digits(disk.substr(disk.size() - 1));
  if (!ends_in_digit) {
    return is_digits(rest);
  }
  return rest.starts_with('p') && is_digits(rest.substr(1));
}

}  // namespace

DeviceStack::DeviceStack(const std::vector<DeviceReading>& devices) {
  for (const DeviceReading& device : devices) {
    devices_.emplace(device.id, &device);
  }
}

const DeviceReading* DeviceStack::find(DeviceId id) const {
  const auto at = devices_.find(id);
  return at == devices_.end() ? nullptr : at->second;
}

std::vector<DeviceId> DeviceStack::all_beneath(DeviceId id) const {
  std::vector<DeviceId> below;
  const auto take = [&](DeviceId from) {
    const DeviceReading* const reading = find(from);
    if (reading == nullptr) {
      return;
    }
    for (const DeviceId next : reading->beneath) {
      const bool known = next == id || std::find(below.begin(), below.end(), next) != below.end();
      if (!known && below.size() < kMaxBeneath) {
        below.push_back(next);
      }
    }
  };
  take(id);
  std::size_t next = 0;  // the list grows while it is walked
  while (next < below.size()) {
    take(below[next++]);
  }
  return below;
}

bool DeviceStack::is_above_any(DeviceId id, std::span<const DeviceId> others) const {
  const DeviceReading* const reading = find(id);
  if (others.empty() || reading == nullptr || reading->beneath.empty()) {
    return false;
  }
  const auto below = all_beneath(id);
  return std::any_of(below.begin(), below.end(), [&](DeviceId device) {
    return std::find(others.begin(), others.end(), device) != others.end();
  });
}

const DeviceReading* DeviceStack::by_name(std::string_view name) const {
  const DeviceReading* disk = nullptr;
  for (const auto& [id, device] : devices_) {
    if (device->name == name) {
      return device;
    }
    if (is_partition_of(name, device->name)) {
      disk = device;
    }
  }
  return disk;
}

std::string DeviceStack::name_of(DeviceId id) const {
  const DeviceReading* const reading = find(id);
  return reading == nullptr || reading->name.empty() ? to_string(id) : reading->name;
}

}  // namespace hvguard
