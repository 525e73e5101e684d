// The options of hvguardd. Main thread, first thing.
#pragma once

#include <variant>

#include "base/program_options.h"
#include "guard/daemon.h"

namespace hvguard::guard {

struct CommandLine {
  DaemonOptions daemon;
  bool check_only = false;
};

[[nodiscard]] std::variant<CommandLine, Farewell> parse_options(int argc, const char* const* argv);

}  // namespace hvguard::guard
