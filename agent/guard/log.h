// Diagnostics of hvguardd on standard error, written by a thread of its own, since standard error
// may lead to a journald that is stuck. Bounded: the oldest lines go first, and are counted.
// Nothing here is audit (publish/journal.h). Lines go through spdlog's default logger.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "model/config.h"

namespace hvguard::guard {

// spdlog keeps about 400 bytes resident for each, used or not.
inline constexpr std::size_t kLogQueueLines = 2048;

// Once, before any other thread. Lines get journald's priority prefix ("<4>") if standard error is
// the journal, else a time and a level.
Result<> start_log(LogLevel level);
void set_log_level(LogLevel level);
[[nodiscard]] std::uint64_t dropped_log_count();
// Whether standard error is a stream to journald.
[[nodiscard]] bool stderr_is_journal();
// Writes what is queued and ends the thread: can wait for ever on a stuck reader, so exit_after()
// must be armed.
void stop_log();

}  // namespace hvguard::guard
