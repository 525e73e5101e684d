// hvguardctl: the terminal; the rest is in command_line.cpp and commands.cpp.
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl/command_line.h"
#include "ctl/commands.h"
#include "ctl/restore_helper.h"

namespace hvguard::ctl {
namespace {

Context make_context(const Options& options) {
  Context context;
  context.out = [](std::string_view text) {
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
           std::fflush(stdout) == 0;
  };
  context.err = [](std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); };
  context.gateway = make_gateway_backend;
  context.direct = make_direct_backend;
  context.now = wall_time_now;
  context.is_root = ::geteuid() == 0;
  context.request_id = [] {
    std::random_device device;
    return fmt::format("ctl-{:08x}{:08x}{:08x}", device(), device(), device());
  };
  context.pause = [](Nanoseconds time) { std::this_thread::sleep_for(time); };
  context.restore_all = [] { return run_restore_helper(HVGUARD_LIMITS_PATH); };

  const char* const no_color = std::getenv("NO_COLOR");
  context.style.terminal = ::isatty(STDOUT_FILENO) != 0;
  context.style.color =
      context.style.terminal && !options.no_color && (no_color == nullptr || *no_color == '\0');
  winsize size{};
  if (context.style.terminal && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    context.style.width = size.ws_col;
  }
  return context;
}

}  // namespace
}  // namespace hvguard::ctl

int main(int argc, char** argv) {
  using namespace hvguard::ctl;
  // Its words about broken messages would stand beside our own errors.
  google::protobuf::SetLogHandler(nullptr);
  const auto parsed = parse_options(argc, argv);
  if (const auto* farewell = std::get_if<hvguard::Farewell>(&parsed)) {
    return hvguard::say(*farewell);
  }
  const auto& options = std::get<Options>(parsed);
  return run(options, make_context(options));
}
