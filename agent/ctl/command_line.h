// The command line of hvguardctl. Its .cpp alone includes CLI11, which is slow to compile.
#pragma once

#include <variant>

#include "base/program_options.h"
#include "ctl/options.h"

namespace hvguard::ctl {

[[nodiscard]] std::variant<Options, Farewell> parse_options(int argc, const char* const* argv);

}  // namespace hvguard::ctl
