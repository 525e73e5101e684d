#include "enforce/bus_call.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "base/text.h"

namespace hvguard::enforce {
namespace {

// Appends v of (sv).
int append_value(sd_bus_message* message, const UnitProperty& property) {
  if (const auto* scalar = std::get_if<std::uint64_t>(&property.value)) {
    return sd_bus_message_append(message, "v", "t", *scalar);
  }
  int status = sd_bus_message_open_container(message, 'v', "a(st)");
  status = std::min(status, sd_bus_message_open_container(message, 'a', "(st)"));
  for (const auto& [path, value] : std::get<DeviceValues>(property.value)) {
    status = std::min(status, sd_bus_message_append(message, "(st)", path.c_str(), value));
  }
  status = std::min(status, sd_bus_message_close_container(message));
  return std::min(status, sd_bus_message_close_container(message));
}

Result<BusMessage> begin_call(sd_bus* bus, const std::string& unit) {
  if (!is_limitable_unit(unit)) {
    return fail(Errc::kInvalid,
                "'" + safe_text(unit, 128) + "' is no service or scope that systemd could limit");
  }
  sd_bus_message* raw = nullptr;
  int status = sd_bus_message_new_method_call(bus,
                                              &raw,
                                              "org.freedesktop.systemd1",
                                              "/org/freedesktop/systemd1",
                                              "org.freedesktop.systemd1.Manager",
                                              "SetUnitProperties");
  BusMessage message(raw);
  if (status >= 0) {
    status = sd_bus_message_append(raw, "sb", unit.c_str(), 1);
  }
  if (status >= 0) {
    status = sd_bus_message_set_auto_start(raw, 0);
  }
  if (status < 0) {
    return fail_errno(-status, "make a D-Bus call");
  }
  return message;
}

std::uint64_t microseconds_until(BootTime deadline) {
  const auto left =
      std::chrono::duration_cast<std::chrono::microseconds>(deadline - boot_time_now()).count();
  return static_cast<std::uint64_t>(std::max<std::int64_t>(left, 0));
}

// sd_bus_call() would wait for the connection as long as it takes, so this is done before, in
// steps.
Result<> wait_until_ready(sd_bus* bus, BootTime deadline) {
  for (;;) {
    const int ready = sd_bus_is_ready(bus);
    if (ready != 0) {
      return ready > 0 ? Result<>() : Result<>(fail_errno(-ready, "connect to the system bus"));
    }
    int status = sd_bus_process(bus, nullptr);
    if (status == 0) {
      const std::uint64_t left = microseconds_until(deadline);
      if (left == 0) {
        return fail(Errc::kTimeout, "the system bus does not answer");
      }
      status = sd_bus_wait(bus, left);
    }
    if (status < 0 && status != -EINTR) {
      return fail_errno(-status, "connect to the system bus");
    }
  }
}

}  // namespace

Result<BusMessage> set_properties_call(sd_bus* bus,
                                       const std::string& unit,
                                       std::span<const UnitProperty> properties) {
  auto message = begin_call(bus, unit);
  if (!message) {
    return message;
  }
  sd_bus_message* const raw = message->get();
  int status = sd_bus_message_open_container(raw, 'a', "(sv)");
  for (const UnitProperty& property : properties) {
    status = std::min(status, sd_bus_message_open_container(raw, 'r', "sv"));
    status = std::min(status, sd_bus_message_append(raw, "s", property.name.c_str()));
    status = std::min(status, append_value(raw, property));
    status = std::min(status, sd_bus_message_close_container(raw));
  }
  status = std::min(status, sd_bus_message_close_container(raw));
  if (status < 0) {
    return fail_errno(-status, "make a D-Bus call");
  }
  return message;
}

Result<BusMessage> arm_io_call(sd_bus* bus, const std::string& unit) {
  auto message = begin_call(bus, unit);
  if (message) {
    const int status = sd_bus_message_append(message->get(), "a(sv)", 1, "IOAccounting", "b", 1);
    if (status < 0) {
      return fail_errno(-status, "make a D-Bus call");
    }
  }
  return message;
}

Result<Bus> connect_to_system_bus(BootTime deadline) {
  sd_bus* raw = nullptr;
  const int opened = sd_bus_open_system(&raw);
  if (opened < 0) {
    return fail_errno(-opened, "connect to the system bus");
  }
  Bus bus(raw);
  if (auto ready = wait_until_ready(raw, deadline); !ready) {
    return fail(std::move(ready).error());
  }
  return bus;
}

Result<> call_and_wait(sd_bus* bus, sd_bus_message* message, BootTime deadline) {
  sd_bus_error error = SD_BUS_ERROR_NULL;
  const std::uint64_t left = std::max<std::uint64_t>(microseconds_until(deadline), 1);
  const int status = sd_bus_call(bus, message, left, &error, nullptr);
  Result<> result;
  if (status < 0) {
    result = error.message != nullptr
                 ? Result<>(fail(errc_from_errno(-status), safe_text(error.message, 256)))
                 : Result<>(fail_errno(-status, "SetUnitProperties"));
  }
  sd_bus_error_free(&error);
  return result;
}

}  // namespace hvguard::enforce
