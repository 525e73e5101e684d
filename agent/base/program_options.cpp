#include "base/program_options.h"

#include <cstdio>
#include <sstream>

#include <CLI/CLI.hpp>

namespace hvguard {

std::optional<Farewell> read_options(CLI::App& app, int argc, const char* const* argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    const int code = app.exit(error, out, err);
    return Farewell{out.str() + err.str(), code == 0 ? 0 : kWrongUsage};
  }
  return std::nullopt;
}

int say(const Farewell& farewell) {
  std::fputs(farewell.text.c_str(), farewell.exit_code == 0 ? stdout : stderr);
  return farewell.exit_code;
}

}  // namespace hvguard
