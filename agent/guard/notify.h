// What systemd is told (sd_notify(3)). Quiet where nobody listens, and never waits. Loop thread.
#pragma once

#include <string>

namespace hvguard::guard {

class ServiceManager {
 public:
  // After the first finished tick, and after a reload. Said again with alive() until it is taken.
  void ready(const std::string& status);
  void reloading() const;
  void stopping(const std::string& status) const;
  // After a finished tick, or where a restart could change nothing: a loop that only turns must be
  // restarted by the watchdog.
  void alive(const std::string& status);

 private:
  bool owes_ready_ = false;
};

}  // namespace hvguard::guard
