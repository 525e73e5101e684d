#include "gateway/options.h"

#include <CLI/CLI.hpp>

namespace hvguard::gateway {

std::variant<Options, Farewell> parse_options(int argc, const char* const* argv) {
  Options options;
  bool no_reflection = false;
  CLI::App app(
      "Serves what hvguardd knows over gRPC on a unix socket, without any right of its own.",
      "hvguard-gateway");
  app.option_defaults()->always_capture_default()->multi_option_policy(
      CLI::MultiOptionPolicy::TakeLast);  // a drop-in may append an option again
  app.set_version_flag("--version", "hvguard-gateway " HVGUARD_VERSION, "Show the version");
  app.add_option("--core-socket", options.core_socket, "hvguardd's socket")->type_name("PATH");
  app.add_option("--listen", options.listen, "Socket to serve")->type_name("PATH");
  app.add_option(
         "--max-connections", options.max_connections, "Connections at once, of all users but root")
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
  app.add_option("--max-connections-per-uid",
                 options.max_connections_per_uid,
                 "Connections at once of one user")
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
  app.add_option("--max-watchers", options.max_watchers, "Watches at once")
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
  app.add_option("--viewer-group",
                 options.viewer_group,
                 "Group (name or number) whose members may read, besides root")
      ->type_name("GROUP");
  app.add_flag("--no-reflection", no_reflection, "Do not serve gRPC reflection");
  if (auto farewell = read_options(app, argc, argv)) {
    return *std::move(farewell);
  }
  options.reflection = !no_reflection;
  return options;
}

}  // namespace hvguard::gateway
