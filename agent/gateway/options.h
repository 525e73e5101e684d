// Options of hvguard-gateway: plain flags, so that the process that strangers talk to reads no
// file.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

namespace hvguard::gateway {

struct Options {
  std::string core_socket = "/run/hvguard/core.sock";
  std::string listen = "/run/hvguard/api/agent.sock";
  std::uint32_t max_connections = 64;          // 1 to 1024; root's come on top
  std::uint32_t max_connections_per_uid = 16;  // 1 to 1024
  std::uint32_t max_watchers = 32;             // 1 to 1024
  std::string viewer_group = "hvguard";        // its members may read; root always may
  bool reflection = true;
};

// What there is to say instead of running (--help, --version, a wrong option), and the exit code.
struct Farewell {
  std::string text;
  int exit_code = 0;
};

[[nodiscard]] std::variant<Options, Farewell> parse_options(int argc, const char* const* argv);

}  // namespace hvguard::gateway
