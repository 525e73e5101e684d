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
  // Takes connections, and never says a word to the first `silent_count` of them; with an empty
  // state to none.
  FakeBus(const std::string& socket_path, std::string system_state, std::size_t silent_count = 0);
  ~FakeBus();
  FakeBus(const FakeBus&) = delete;
  FakeBus& operator=(const FakeBus&) = delete;

 private:
  void serve();
  void talk(int fd);

  std::string state_;
  std::size_t silent_count_;
  UniqueFd listener_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace hvguard::test
