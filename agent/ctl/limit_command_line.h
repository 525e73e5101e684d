// The part of hvguardctl's command line that is about limits and about changing something.
#pragma once

namespace CLI {
class App;
}

namespace hvguard::ctl {

struct Options;

void add_limit_commands(CLI::App& app, Options& options);

}  // namespace hvguard::ctl
