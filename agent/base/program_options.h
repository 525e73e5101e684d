// What all our programs do alike with their command line. Main thread, first thing.
#pragma once

#include <optional>
#include <string>

namespace CLI {
class App;
}  // namespace CLI

namespace hvguard {

inline constexpr int kWrongUsage = 2;  // exit code of every program of ours for a wrong option

// What there is to say instead of running (--help, --version, a wrong option), and the exit code.
struct Farewell {
  std::string text;
  int exit_code = 0;  // 0 or kWrongUsage
};

// Fills the variables that the options of `app` are bound to; none if the program is to run.
[[nodiscard]] std::optional<Farewell> read_options(CLI::App& app,
                                                   int argc,
                                                   const char* const* argv);
// Says it, on stderr if something is wrong, and returns the exit code.
[[nodiscard]] int say(const Farewell& farewell);

}  // namespace hvguard
