#include "guard/notify.h"

#include <ctime>

#include <fmt/format.h>
#include <systemd/sd-daemon.h>

namespace hvguard::guard {
namespace {

void send(const std::string& state) {
  // Nothing to do where it fails: without a manager there is nobody to tell.
  static_cast<void>(::sd_notify(0, state.c_str()));
}

}  // namespace

void ServiceManager::ready(const std::string& status) const {
  send("READY=1\nSTATUS=" + status);
}

void ServiceManager::reloading() const {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);  // Type=notify-reload wants it, since systemd 253
  send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1'000'000 + now.tv_nsec / 1000));
}

void ServiceManager::stopping(const std::string& status) const {
  send("STOPPING=1\nSTATUS=" + status);
}

void ServiceManager::alive(const std::string& status) const {
  send("WATCHDOG=1\nSTATUS=" + status);
}

}  // namespace hvguard::guard
