#include "spool/system_state.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string_view>

#include <systemd/sd-bus.h>

namespace hvguard::spool {
namespace {

struct BusCloser {
  // Not flushed: that could wait.
  void operator()(sd_bus* bus) const { sd_bus_close_unref(bus); }
};

std::uint64_t microseconds_until(BootTime deadline) {
  const auto left =
      std::chrono::duration_cast<std::chrono::microseconds>(deadline - boot_time_now()).count();
  return static_cast<std::uint64_t>(std::max<std::int64_t>(left, 0));
}

// sd_bus_call() would wait for the connection as long as it takes; so this is done before, in
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
    if (status < 0) {
      return fail_errno(-status, "connect to the system bus");
    }
  }
}

}  // namespace

Result<bool> system_is_stopping(BootTime deadline) {
  sd_bus* raw = nullptr;
  const int opened = sd_bus_open_system(&raw);
  if (opened < 0) {
    return fail_errno(-opened, "connect to the system bus");
  }
  const std::unique_ptr<sd_bus, BusCloser> bus(raw);
  if (auto ready = wait_until_ready(bus.get(), deadline); !ready) {
    return fail(std::move(ready).error());
  }
  const std::uint64_t left = microseconds_until(deadline);
  sd_bus_set_method_call_timeout(bus.get(), std::max<std::uint64_t>(left, 1));
  char* value = nullptr;
  const int status = sd_bus_get_property_string(bus.get(),
                                                "org.freedesktop.systemd1",
                                                "/org/freedesktop/systemd1",
                                                "org.freedesktop.systemd1.Manager",
                                                "SystemState",
                                                nullptr,
                                                &value);
  if (status < 0) {
    return fail_errno(-status, "ask systemd for its state");
  }
  const std::unique_ptr<char, decltype(&std::free)> owned(value, &std::free);
  return std::string_view(value) == "stopping";
}

}  // namespace hvguard::spool
