// What hvguardd asks of the kernel for itself, so that it lives while the host is short of memory,
// and ends when it is told to. Called from main() before any thread.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/time.h"

namespace hvguard::guard {

// Few malloc arenas, and memory that is never swapped out once it was touched. MCL_ONFAULT: without
// it every thread's whole stack and every mapping would be made resident. What was read from disk,
// the program and the libraries that it calls, is locked whole: a function that is called for the
// first time while the root disk is stuck must not wait for it. Failing is no reason not to run;
// the message says what to raise.
Result<> lock_memory();

// As many open files as the hard limit allows: a dozen are kept for each VM, and the soft limit of
// a shell is 1024. Returns the limit in force.
Result<std::uint64_t> raise_open_files();

// A write to a pipe or socket that nobody reads must be an error, not the end.
void ignore_broken_pipes();

// Ends the process with `code` after that long, whatever its threads are doing, even if one is in
// an uninterruptible read (the process is then a zombie until that read ends; PID 1 cannot start
// the next one before). Async-signal-safe: SIGALRM and _exit().
void exit_after(std::chrono::milliseconds delay, int code);

}  // namespace hvguard::guard
