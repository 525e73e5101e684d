#include "spool/log.h"

#include <string>

#include <fmt/format.h>
#include <unistd.h>

namespace hvguard::spool {
namespace {

constexpr std::size_t kMaxLineBytes = 1024;

}  // namespace

void log_line(Level level, std::string_view text) {
  const std::string line = fmt::format(
      "<{}>hvguard-spool: {}\n", static_cast<int>(level), text.substr(0, kMaxLineBytes));
  // There is nobody to tell if it fails.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace hvguard::spool
