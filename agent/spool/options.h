// Options of hvguard-spool: plain flags of its unit; it has no configuration file.
#pragma once

#include <string>
#include <variant>

#include "base/program_options.h"

namespace hvguard::spool {

struct Options {
  std::string core_socket = "/run/hvguard/core.sock";
  std::string state_dir = "/var/lib/hvguard";
  std::string root = "/";  // tests point it at a tree with proc/, sys/ and var/ in it
};

[[nodiscard]] std::variant<Options, Farewell> parse_options(int argc, const char* const* argv);

}  // namespace hvguard::spool
