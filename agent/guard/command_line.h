// The options of hvguardd. Main thread, first thing.
#pragma once

#include <optional>

#include "guard/daemon.h"

namespace hvguard::guard {

inline constexpr int kWrongInput = 2;  // exit code

struct CommandLine {
  DaemonOptions daemon;
  bool check_only = false;
  // Set if there is nothing left to do: help or version was shown (0), or an option is wrong.
  std::optional<int> exit_code;
};

[[nodiscard]] CommandLine parse_command_line(int argc, char** argv);

}  // namespace hvguard::guard
