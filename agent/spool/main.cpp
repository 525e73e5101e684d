// hvguard-spool: options, signals, readiness.
// Exit codes: 0 stopped as told; 1 could not start; 2 wrong options.
#include <cerrno>
#include <csignal>
#include <cstdio>

#include <sys/signalfd.h>

#include "base/fd.h"
#include "base/service_manager.h"
#include "spool/log.h"
#include "spool/options.h"
#include "spool/spool.h"

namespace hvguard::spool {
namespace {

// The descriptor that is readable once SIGTERM or SIGINT came.
UniqueFd watch_stop_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  // A journald that goes while we write is no reason to end.
  ::signal(SIGPIPE, SIG_IGN);
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
  if (const auto* farewell = std::get_if<hvguard::spool::Farewell>(&parsed)) {
    std::fputs(farewell->text.c_str(), farewell->exit_code == 0 ? stdout : stderr);
    return farewell->exit_code;
  }
  return hvguard::spool::run(std::get<hvguard::spool::Options>(parsed));
}
