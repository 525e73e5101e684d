#include "base/log_line.h"

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <string>

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

namespace hvguard {
namespace {

constexpr std::size_t kMaxLineBytes = 1024;

std::atomic<std::uint64_t> left_out{0};

// One call for the whole line, so that lines of several threads do not mix.
bool write_line(std::string_view line) {
  // Not O_NONBLOCK: that would also hold for whoever else has this terminal or pipe.
  const ssize_t sent = ::send(STDERR_FILENO, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0 || errno != ENOTSOCK) {
    return sent >= 0;
  }
  return ::write(STDERR_FILENO, line.data(), line.size()) >= 0;
}

}  // namespace

void log_line(std::string_view program, LogPriority priority, std::string_view text) {
  const std::uint64_t before = left_out.exchange(0);
  const std::string line =
      fmt::format("<{}>{}: {}{}\n",
                  static_cast<int>(priority),
                  program,
                  text.substr(0, kMaxLineBytes),
                  before == 0 ? "" : fmt::format(" ({} lines left out before)", before));
  if (!write_line(line)) {
    left_out += before + 1;
  }
}

}  // namespace hvguard
