// What systemd is told (sd_notify(3)). Quiet where nobody listens. Loop thread.
#pragma once

#include <string>

namespace hvguard::guard {

class ServiceManager {
 public:
  // After the first finished tick, and after a reload.
  void ready(const std::string& status) const;
  void reloading() const;
  void stopping(const std::string& status) const;
  // After a finished tick, or where a restart could change nothing: a loop that only turns must be
  // restarted by the watchdog.
  void alive(const std::string& status) const;
};

}  // namespace hvguard::guard
