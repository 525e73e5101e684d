// Options of hvguard-spool: plain flags of its unit; it has no configuration file.
#pragma once

#include <string>
#include <variant>

namespace hvguard::spool {

struct Options {
  std::string core_socket = "/run/hvguard/core.sock";
  std::string state_dir = "/var/lib/hvguard";
  std::string root = "/";  // tests point it at a tree with proc/, sys/ and var/ in it
};

// What there is to say instead of running (--help, --version, a wrong option), and the exit code.
struct Farewell {
  std::string text;
  int exit_code = 0;
};

[[nodiscard]] std::variant<Options, Farewell> parse_options(int argc, const char* const* argv);

}  // namespace hvguard::spool
