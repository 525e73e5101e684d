// Commands of hvguardctl: ask a backend, show the answer, say with the exit code how it went. All
// that touches the outside comes in through Context, so tests run commands without a terminal.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "ctl/backend.h"
#include "ctl/options.h"
#include "ctl/table.h"

namespace hvguard::ctl {

struct Context {
  // False: nobody reads any more.
  std::function<bool(std::string_view)> out;
  std::function<void(std::string_view)> err;
  std::function<std::unique_ptr<Backend>(const Options&)> gateway;
  std::function<std::unique_ptr<Backend>(const Options&)> direct;
  std::function<WallTime()> now;
  std::function<std::string()> request_id;  // a new one for each request that changes something
  std::function<void(Nanoseconds)> pause;   // between two looks at what takes time
  std::function<Result<>()> restore_all;    // hvguard-limits restore, for release --all
  Style style;                              // its `now` is set anew for each view
  bool is_root = false;
};

int run(const Options& options, const Context& context);

}  // namespace hvguard::ctl
