// Options of hvguard-gateway: plain flags, so that the process that strangers talk to reads no
// file.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "base/program_options.h"

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

[[nodiscard]] std::variant<Options, Farewell> parse_options(int argc, const char* const* argv);

}  // namespace hvguard::gateway
