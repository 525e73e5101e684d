#include "enforce/unit_properties.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include <fmt/format.h>

namespace hvguard::enforce {
namespace {

constexpr std::uint64_t kUnset = UINT64_MAX;  // infinity, or "not set" for weights
constexpr std::size_t kMaxUnitNameBytes = 255;

std::string_view property_of(LimitKind kind) {
  switch (kind) {
    case LimitKind::kReadBytes:
      return "IOReadBandwidthMax";
    case LimitKind::kReadOperations:
      return "IOReadIOPSMax";
    case LimitKind::kWriteBytes:
      return "IOWriteBandwidthMax";
    case LimitKind::kWriteOperations:
      return "IOWriteIOPSMax";
    case LimitKind::kIoWeight:
      return "IOWeight";
    case LimitKind::kMemoryLow:
      return "MemoryLow";
    case LimitKind::kMemoryHigh:
      return "MemoryHigh";
    case LimitKind::kMemoryMax:
      return "MemoryMax";
    case LimitKind::kSwapMax:
      return "MemorySwapMax";
    case LimitKind::kPidsMax:
      return "TasksMax";
    case LimitKind::kCpuMax:
      return "CPUQuotaPerSecUSec";
    case LimitKind::kCpuWeight:
      return "CPUWeight";
  }
  return "";
}

std::uint64_t scalar_of(const Setting& setting) {
  const bool weight =
      setting.key.kind == LimitKind::kIoWeight || setting.key.kind == LimitKind::kCpuWeight;
  if (weight && setting.value == unset_value(setting.key.kind)) {
    return kUnset;
  }
  return setting.value.value_or(unset_value(setting.key.kind).value_or(kUnset));
}

using IoTable = std::map<DeviceId, std::array<SettingValue, kIoMaxKeys>>;

// /dev/block/MAJ:MIN is read by systemd as a number: another path it looks up, which can hang PID 1
// on a dead file system.
DeviceValues values_of(const IoTable& table, std::size_t kind) {
  DeviceValues values;
  for (const auto& [device, limits] : table) {
    if (const SettingValue& value = limits.at(kind)) {
      values.emplace_back("/dev/block/" + to_string(device), *value);
    }
  }
  return values;
}

}  // namespace

bool is_limitable_unit(std::string_view unit) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@";
  const bool suffix = unit.ends_with(".service") || unit.ends_with(".scope");
  return suffix && unit.size() <= kMaxUnitNameBytes && !unit.starts_with('.') &&
         unit.find_first_not_of(kAllowed) == std::string_view::npos;
}

std::vector<UnitProperty> unit_properties(std::span<const Setting> changes,
                                          std::span<const DeviceLimits> io_max) {
  std::vector<UnitProperty> properties;
  IoTable table;
  for (const DeviceLimits& line : io_max) {
    table[line.device] = line.values;
  }
  std::set<DeviceId> touched_devices;
  std::set<std::size_t> touched_kinds;
  for (const Setting& change : changes) {
    if (!is_per_device(change.key.kind)) {
      properties.push_back({std::string(property_of(change.key.kind)), scalar_of(change)});
      continue;
    }
    const auto kind = static_cast<std::size_t>(change.key.kind);
    table[change.key.device].at(kind) = change.value;
    touched_devices.insert(change.key.device);
    touched_kinds.insert(kind);
  }
  for (std::size_t kind = 0; kind < kIoMaxKeys; ++kind) {
    if (std::ranges::any_of(touched_devices,
                            [&](DeviceId device) { return table[device].at(kind).has_value(); })) {
      touched_kinds.insert(kind);
    }
  }
  for (const std::size_t kind : touched_kinds) {
    const std::string name(property_of(static_cast<LimitKind>(kind)));
    properties.push_back({name, DeviceValues{}});
    if (auto values = values_of(table, kind); !values.empty()) {
      properties.push_back({name, std::move(values)});
    }
  }
  return properties;
}

}  // namespace hvguard::enforce
