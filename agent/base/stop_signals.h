// The signals that ask a program to stop. Main thread, before any other is made.
#pragma once

#include <csignal>

namespace hvguard {

// SIGTERM and SIGINT, blocked from now on in this and every later thread, to be waited for.
// SIGPIPE is ignored: a peer that goes while we write is an error code.
sigset_t block_stop_signals();

}  // namespace hvguard
