// hvguardd: options, then the daemon.
// Exit codes: 0 stopped as told, or the configuration is fine; 1 could not run; 2 the options or
// the configuration are wrong, and nothing was started.
#include <cstdio>
#include <string>

#include <spdlog/spdlog.h>
#include <unistd.h>

#include "guard/command_line.h"
#include "guard/daemon.h"
#include "guard/log.h"
#include "guard/self_limits.h"

namespace {

namespace guard = hvguard::guard;

constexpr int kFailed = 1;

int run(const guard::DaemonOptions& options) {
  guard::ReadConfig config = guard::read_config(options.config_path);
  if (!config.loaded.faults.empty()) {
    std::fputs(hvguard::config::describe_faults(config.loaded.faults).c_str(), stderr);
    return hvguard::kWrongUsage;
  }
  guard::ignore_broken_pipes();
  const auto locked = guard::lock_memory();
  const auto open_files = guard::raise_open_files();
  const auto blocked = guard::block_loop_signals();
  const auto logging = guard::start_log(config.loaded.config.log.level);
  if (!blocked || !logging) {
    std::fprintf(stderr, "hvguardd: cannot set up signals or the log\n");
    return kFailed;
  }
  if (!locked) {
    spdlog::warn("{}", locked.error().message);
  }
  if (!open_files) {
    spdlog::warn("{}", open_files.error().message);
  }
  guard::Ending ending{.exit_code = kFailed};
  {
    auto daemon = guard::Daemon::create(options, std::move(config));
    const auto ended = daemon ? (*daemon)->run() : hvguard::fail(daemon.error());
    if (ended) {
      ending = *ended;
    } else {
      spdlog::error("{}", ended.error().message);
    }
    if (ending.thread_left_behind) {
      guard::stop_log();
      ::_exit(ending.exit_code);
    }
  }
  guard::stop_log();
  return ending.exit_code;
}

int check(const std::string& path) {
  const hvguard::config::Loaded loaded = hvguard::config::load(path);
  if (!loaded.faults.empty()) {
    std::fputs(hvguard::config::describe_faults(loaded.faults).c_str(), stderr);
    return hvguard::kWrongUsage;
  }
  std::puts(hvguard::config::describe_files(loaded).c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const auto parsed = guard::parse_options(argc, argv);
  if (const auto* farewell = std::get_if<hvguard::Farewell>(&parsed)) {
    return hvguard::say(*farewell);
  }
  const auto& line = std::get<guard::CommandLine>(parsed);
  return line.check_only ? check(line.daemon.config_path) : run(line.daemon);
}
