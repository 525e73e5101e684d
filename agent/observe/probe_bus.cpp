#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include <systemd/sd-bus.h>

#include "observe/probe_facts.h"

namespace hvguard::observe {
namespace {

constexpr std::uint64_t kCallMicroseconds = 700000;  // two calls fit into the default deadline

struct BusCloser {
  void operator()(sd_bus* bus) const { sd_bus_close_unref(bus); }
};
using Bus = std::unique_ptr<sd_bus, BusCloser>;

struct MessageUnref {
  void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};
using Message = std::unique_ptr<sd_bus_message, MessageUnref>;

struct BusErrorHolder {
  sd_bus_error error = SD_BUS_ERROR_NULL;
  BusErrorHolder() = default;
  BusErrorHolder(const BusErrorHolder&) = delete;
  BusErrorHolder& operator=(const BusErrorHolder&) = delete;
  ~BusErrorHolder() { sd_bus_error_free(&error); }
};

Result<Bus> open_bus() {
  sd_bus* raw = nullptr;
  const int status = sd_bus_open_system(&raw);
  if (status < 0) {
    return fail_errno(-status, "connect to the system bus");
  }
  return Bus(raw);
}

// Sends and waits. Never starts a service that is not running: hvguard only asks.
Result<Message> call(sd_bus* bus, sd_bus_message* message, const std::string& what) {
  sd_bus_message_set_auto_start(message, 0);
  BusErrorHolder failure;
  sd_bus_message* reply = nullptr;
  const int status = sd_bus_call(bus, message, kCallMicroseconds, &failure.error, &reply);
  if (status < 0) {
    if (failure.error.message != nullptr) {
      return fail(errc_from_errno(-status), what + ": " + failure.error.message);
    }
    return fail_errno(-status, what);
  }
  return Message(reply);
}

Result<std::string> string_property(sd_bus* bus,
                                    const char* service,
                                    const std::string& path,
                                    const char* interface,
                                    const char* property) {
  sd_bus_message* raw = nullptr;
  int status = sd_bus_message_new_method_call(
      bus, &raw, service, path.c_str(), "org.freedesktop.DBus.Properties", "Get");
  const Message message(raw);
  if (status >= 0) {
    status = sd_bus_message_append(message.get(), "ss", interface, property);
  }
  if (status < 0) {
    return fail_errno(-status, property);
  }
  const auto reply = call(bus, message.get(), std::string("get ") + property);
  if (!reply) {
    return fail(reply.error());
  }
  const char* value = nullptr;
  status = sd_bus_message_read(reply->get(), "v", "s", &value);
  if (status < 0 || value == nullptr) {
    return fail_errno(status < 0 ? -status : EBADMSG, property);
  }
  return std::string(value);
}

Result<std::string> kill_mode_of(sd_bus* bus, const std::string& unit) {
  char* raw_path = nullptr;
  const int status = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit.c_str(), &raw_path);
  if (status < 0) {
    return fail_errno(-status, "name of unit");
  }
  const std::unique_ptr<char, decltype(&std::free)> path(raw_path, &std::free);
  const bool scope = unit.ends_with(".scope");
  return string_property(
      bus,
      "org.freedesktop.systemd1",
      path.get(),
      scope ? "org.freedesktop.systemd1.Scope" : "org.freedesktop.systemd1.Service",
      "KillMode");
}

Result<std::string> machine_name_of(sd_bus* bus, Pid pid) {
  sd_bus_message* raw = nullptr;
  int status = sd_bus_message_new_method_call(bus,
                                              &raw,
                                              "org.freedesktop.machine1",
                                              "/org/freedesktop/machine1",
                                              "org.freedesktop.machine1.Manager",
                                              "GetMachineByPID");
  const Message message(raw);
  if (status >= 0) {
    status = sd_bus_message_append(message.get(), "u", static_cast<std::uint32_t>(pid));
  }
  if (status < 0) {
    return fail_errno(-status, "GetMachineByPID");
  }
  const auto reply = call(bus, message.get(), "GetMachineByPID");
  if (!reply) {
    return fail(reply.error());
  }
  const char* path = nullptr;
  status = sd_bus_message_read(reply->get(), "o", &path);
  if (status < 0 || path == nullptr) {
    return fail_errno(status < 0 ? -status : EBADMSG, "GetMachineByPID");
  }
  return string_property(
      bus, "org.freedesktop.machine1", path, "org.freedesktop.machine1.Machine", "Name");
}

}  // namespace

void probe_bus(const ProbeRequest& request, const SendAnswer& send) {
  ProbeAnswer answer;
  answer.id = request.id;
  answer.stage = ProbeStage::kBus;
  const auto bus = open_bus();
  if (!bus) {
    answer.error = bus.error().message;
    send(answer);
    return;
  }
  if (!request.unit.empty()) {
    if (auto kill_mode = kill_mode_of(bus->get(), request.unit)) {
      answer.text = std::move(*kill_mode);
    } else {
      answer.error = kill_mode.error().message;
    }
  }
  // No machined, or a process that is in no machine: no name, which is no error.
  if (auto name = machine_name_of(bus->get(), request.tgid)) {
    answer.second = std::move(*name);
  }
  send(answer);
}

}  // namespace hvguard::observe
