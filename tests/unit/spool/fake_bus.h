// A system bus with a systemd on it, in a thread: answers Hello and the property SystemState, in
// libsystemd's own words. DBUS_SYSTEM_BUS_ADDRESS leads to it as long as it lives.
#pragma once

#include <atomic>
#include <string>
#include <thread>

#include "base/fd.h"

namespace hvguard::test {

class FakeBus {
 public:
  // An empty state: takes connections, and never says a word.
  FakeBus(const std::string& socket_path, std::string system_state);
  ~FakeBus();
  FakeBus(const FakeBus&) = delete;
  FakeBus& operator=(const FakeBus&) = delete;

 private:
  void serve();
  void talk(int fd);

  std::string state_;
  UniqueFd listener_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace hvguard::test
