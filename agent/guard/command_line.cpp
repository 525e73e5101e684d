#include "guard/command_line.h"

#include <CLI/CLI.hpp>

namespace hvguard::guard {

std::variant<CommandLine, Farewell> parse_options(int argc, const char* const* argv) {
  CommandLine line;
  DaemonOptions& options = line.daemon;
  options = {.config_path = std::string(config::kDefaultPath),
             .runtime_folder = std::string(kDefaultRuntimeFolder),
             .probe_path = HVGUARD_PROBE_PATH,
             .limits_path = HVGUARD_LIMITS_PATH};
  CLI::App app("Guards the host of KVM virtual machines: sees VMs, their disk IO and stuck tasks.");
  app.name("hvguardd");
  app.set_version_flag("--version", "hvguardd " HVGUARD_VERSION);
  app.add_option("--config", options.config_path, "Configuration; its drop-ins lie beside it")
      ->type_name("FILE")
      ->capture_default_str();
  app.add_flag("--check-config", line.check_only, "Only say whether the configuration is right");
  app.add_option("--runtime-dir", options.runtime_folder, "Folder of the socket and the state")
      ->type_name("DIR")
      ->capture_default_str();
  app.add_option("--probe", options.probe_path, "Helper that reads what can block")
      ->type_name("FILE")
      ->capture_default_str();
  app.add_option("--limits", options.limits_path, "Helper that sets and gives back limits")
      ->type_name("FILE")
      ->capture_default_str();
  app.footer(
      "Runs in the foreground, as root, until SIGTERM; SIGHUP reads the configuration again.\n"
      "Exit codes: 0 stopped as told, 1 could not run, 2 wrong options or configuration.\n\n"
      "Examples:\n"
      "  hvguardd --check-config\n"
      "  hvguardd --config ./hvguard.toml --runtime-dir /run/hvguard-test");
  if (auto farewell = read_options(app, argc, argv)) {
    return *std::move(farewell);
  }
  return line;
}

}  // namespace hvguard::guard
