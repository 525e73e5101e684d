#include "spool/options.h"

#include <CLI/CLI.hpp>

namespace hvguard::spool {

std::variant<Options, Farewell> parse_options(int argc, const char* const* argv) {
  Options options;
  CLI::App app("Keeps on disk what is to be known of this boot after the next one.",
               "hvguard-spool");
  app.option_defaults()->always_capture_default()->multi_option_policy(
      CLI::MultiOptionPolicy::TakeLast);  // a drop-in may append an option again
  app.set_version_flag("--version", "hvguard-spool " HVGUARD_VERSION, "Show the version");
  app.add_option("--core-socket", options.core_socket, "hvguardd's socket")->type_name("PATH");
  app.add_option("--state-dir", options.state_dir, "Folder of the record")->type_name("DIR");
  app.add_option("--root", options.root, "Where proc, sys and var are, for tests")
      ->type_name("DIR");
  if (auto farewell = read_options(app, argc, argv)) {
    return *std::move(farewell);
  }
  return options;
}

}  // namespace hvguard::spool
