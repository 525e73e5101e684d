// Settings as properties of a systemd unit, for Manager.SetUnitProperties (org.freedesktop.systemd1
// (5)). Pure. systemd owns the files of its units' cgroups: what it does not know it takes back at
// the next daemon-reload, so limits of a unit are its properties.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "enforce/limit_files.h"

namespace hvguard::enforce {

using DeviceValues = std::vector<std::pair<std::string, std::uint64_t>>;  // a(st): path, value

struct UnitProperty {
  std::string name;
  std::variant<std::uint64_t, DeviceValues> value;

  bool operator==(const UnitProperty&) const = default;
};

// Which unit systemd may be told to limit: "x.service" or "x.scope", of a name that it takes. An
// empty name would mean the caller's own unit (dbus-manager.c, bus_get_unit_by_name), and one that
// does not exist makes a drop-in for slices without an error.
[[nodiscard]] bool is_limitable_unit(std::string_view unit);

// What to send so that `changes` hold and all else stays. `io_max`: what the unit's file has now.
// systemd writes all four keys of a device whenever it writes one, and forgets a single device only
// with all of its property: so each property that the changed devices have is sent whole, an empty
// list first, which clears it.
[[nodiscard]] std::vector<UnitProperty> unit_properties(std::span<const Setting> changes,
                                                        std::span<const DeviceLimits> io_max);

}  // namespace hvguard::enforce
