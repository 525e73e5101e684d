// The command line of hvguardctl. Its .cpp alone includes CLI11, which is slow to compile.
#pragma once

#include <string>
#include <variant>

#include "ctl/options.h"

namespace hvguard::ctl {

// What there is to say instead of running (--help, --version, wrong usage), and the exit code.
struct Farewell {
  std::string text;
  int exit_code = kExitOk;
};

[[nodiscard]] std::variant<Options, Farewell> parse_command_line(int argc, const char* const* argv);

}  // namespace hvguard::ctl
