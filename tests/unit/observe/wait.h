// Waiting for a condition with a deadline, for tests of what runs beside them.
#pragma once

#include <chrono>
#include <thread>

#include "base/time.h"

namespace hvguard::observe::test {

// True as soon as done() is; false if it is not within the limit.
template <class Done>
bool wait_for(Nanoseconds limit, Done done) {
  const BootTime end = boot_time_now() + limit;
  while (!done()) {
    if (boot_time_now() >= end) {
      return done();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace hvguard::observe::test
