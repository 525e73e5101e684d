// Which block device is stacked on which (dm, md, loop): questions over DeviceReading::beneath.
// Pure; built once per tick. Cycles cannot be followed for ever: the kernel makes none, a broken
// reading could.
#pragma once

#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "model/snapshot.h"

namespace hvguard {

class DeviceStack {
 public:
  explicit DeviceStack(const std::vector<DeviceReading>& devices);

  [[nodiscard]] const DeviceReading* find(DeviceId id) const;
  // Everything below, not the device itself; at most 256 devices.
  [[nodiscard]] std::vector<DeviceId> all_beneath(DeviceId id) const;
  // Whether any of the others lies somewhere below the device.
  [[nodiscard]] bool is_above_any(DeviceId id, std::span<const DeviceId> others) const;
  // The device whose name this is, or the disk that it names a partition of ("sda1" → sda,
  // "nvme0n1p2" → nvme0n1); null if none.
  [[nodiscard]] const DeviceReading* by_name(std::string_view name) const;
  // "sda", or "8:0" if the name is not known.
  [[nodiscard]] std::string name_of(DeviceId id) const;

 private:
  std::map<DeviceId, const DeviceReading*> devices_;
};

}  // namespace hvguard
