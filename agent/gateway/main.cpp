// hvguard-gateway: options, signals, readiness and watchdog.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>

#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include "base/service_manager.h"
#include "base/stop_signals.h"
#include "gateway/gateway.h"
#include "gateway/log.h"
#include "gateway/options.h"
#include "gateway/server.h"

namespace hvguard::gateway {
namespace {

// Our loops go round at least once a second; one that has not for this long is stuck.
constexpr Nanoseconds kStuckAfter = std::chrono::seconds(5);

void wait_for_stop(const Gateway& gateway, const sigset_t& signals) {
  const timespec second{1, 0};
  bool told_ready = false;
  do {
    told_ready = told_ready || tell_service_manager("READY=1");
    if (boot_time_now() - gateway.progress_time() < kStuckAfter) {
      tell_service_manager("WATCHDOG=1");
    }
  } while (::sigtimedwait(&signals, nullptr, &second) <= 0);
}

int run(const Options& options) {
  const sigset_t signals = block_stop_signals();
  limit_library_logs();
  auto gateway = Gateway::start(options);
  if (!gateway) {
    log_line(Level::kError, gateway.error().message);
    return 1;
  }
  log_line(Level::kInfo, fmt::format("{} serves {}", HVGUARD_VERSION, options.listen));
  wait_for_stop(**gateway, signals);
  tell_service_manager("STOPPING=1");
  (*gateway)->stop();
  // gRPC's own end can wait ten seconds for a timer of its own (1.51, Executor::ShutdownAll), and
  // nothing is left to save.
  std::fflush(nullptr);
  ::_exit(0);
}

}  // namespace
}  // namespace hvguard::gateway

int main(int argc, char** argv) {
  // gRPC has many threads that do little; an arena for each would cost more memory than their data.
  ::mallopt(M_ARENA_MAX, 2);
  ::mallopt(M_TRIM_THRESHOLD, 256 * 1024);
  const auto parsed = hvguard::gateway::parse_options(argc, argv);
  if (const auto* farewell = std::get_if<hvguard::Farewell>(&parsed)) {
    return hvguard::say(*farewell);
  }
  return hvguard::gateway::run(std::get<hvguard::gateway::Options>(parsed));
}
