#include "guard/notify.h"

#include <ctime>

#include <fmt/format.h>

#include "base/service_manager.h"

namespace hvguard::guard {

void ServiceManager::ready(const std::string& status) {
  owes_ready_ = !tell_service_manager("READY=1\nSTATUS=" + status);
}

void ServiceManager::reloading() const {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);  // Type=notify-reload wants it, since systemd 253
  tell_service_manager(
      fmt::format("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1'000'000 + now.tv_nsec / 1000));
}

void ServiceManager::stopping(const std::string& status) const {
  tell_service_manager("STOPPING=1\nSTATUS=" + status);
}

void ServiceManager::alive(const std::string& status) {
  const std::string state = "WATCHDOG=1\nSTATUS=" + status;
  if (owes_ready_) {
    owes_ready_ = !tell_service_manager("READY=1\n" + state);
  } else {
    tell_service_manager(state);
  }
}

}  // namespace hvguard::guard
