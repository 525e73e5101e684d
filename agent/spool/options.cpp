#include "spool/options.h"

#include <sstream>

#include <CLI/CLI.hpp>

namespace hvguard::spool {

std::variant<Options, Farewell> parse_options(int argc, const char* const* argv) {
  constexpr int kUsage = 2;
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
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    const int code = app.exit(error, out, err);
    return Farewell{out.str() + err.str(), code == 0 ? 0 : kUsage};
  }
  return options;
}

}  // namespace hvguard::spool
