// The one D-Bus call that sets limits, for the guard's asynchronous lever and for the restorer,
// which waits.
#pragma once

#include <memory>
#include <span>
#include <string>

#include <systemd/sd-bus.h>

#include "base/result.h"
#include "base/time.h"
#include "enforce/unit_properties.h"

namespace hvguard::enforce {

struct MessageUnref {
  void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};
using BusMessage = std::unique_ptr<sd_bus_message, MessageUnref>;

struct BusClose {
  // Not flushed: that could wait.
  void operator()(sd_bus* bus) const { sd_bus_close_unref(bus); }
};
using Bus = std::unique_ptr<sd_bus, BusClose>;

// SetUnitProperties(unit, runtime = true, properties), not sent yet. kInvalid: no unit to limit.
[[nodiscard]] Result<BusMessage> set_properties_call(sd_bus* bus,
                                                     const std::string& unit,
                                                     std::span<const UnitProperty> properties);
// SetUnitProperties(unit, true, [IOAccounting = true]): turns the io controller on for the unit.
[[nodiscard]] Result<BusMessage> arm_io_call(sd_bus* bus, const std::string& unit);

// A connection to the system bus that is ready for calls by the deadline. Waits: not for the guard.
[[nodiscard]] Result<Bus> connect_to_system_bus(BootTime deadline);
// Sends and waits for the answer.
[[nodiscard]] Result<> call_and_wait(sd_bus* bus, sd_bus_message* message, BootTime deadline);

}  // namespace hvguard::enforce
