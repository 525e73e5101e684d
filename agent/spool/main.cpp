// hvguard-spool: options, signals, readiness.
// Exit codes: 0 stopped as told; 1 could not start; 2 wrong options.
#include <cerrno>

#include <sys/signalfd.h>

#include "base/fd.h"
#include "base/service_manager.h"
#include "base/stop_signals.h"
#include "spool/log.h"
#include "spool/options.h"
#include "spool/spool.h"

namespace hvguard::spool {
namespace {

// The descriptor that is readable once SIGTERM or SIGINT came.
UniqueFd watch_stop_signals() {
  const sigset_t signals = block_stop_signals();
  return UniqueFd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

int run(const Options& options) {
  const UniqueFd stop = watch_stop_signals();
  if (!stop.valid()) {
    log_line(Level::kError, "cannot watch signals");
    return 1;
  }
  // Before the disk is touched: a host must not wait at its boot for one that hangs.
  const bool told = tell_service_manager("READY=1");
  auto spool = Spool::start(options, stop.get());
  if (!spool) {
    log_line(Level::kError, spool.error().message);
    return 1;
  }
  if (!told) {
    tell_service_manager("READY=1");
  }
  spool->run();
  return 0;
}

}  // namespace
}  // namespace hvguard::spool

int main(int argc, char** argv) {
  const auto parsed = hvguard::spool::parse_options(argc, argv);
  if (const auto* farewell = std::get_if<hvguard::Farewell>(&parsed)) {
    return hvguard::say(*farewell);
  }
  return hvguard::spool::run(std::get<hvguard::spool::Options>(parsed));
}
