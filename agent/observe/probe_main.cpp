// hvguard-probe KIND ROOT: does for hvguardd the reads that can hang. A thread stuck in such a read
// cannot be killed alone; this process can. Started by ProbeClient with a socket as descriptor 3,
// ends when the other end closes. Stuck reads are in killable sleep, so SIGKILL frees them.
#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

#include "observe/probe_facts.h"

namespace hvguard::observe {
namespace {

void send_answer(const ProbeAnswer& answer) {
  const std::string message = encode(answer);
  // The client takes one request's answers at a time, far below the socket's buffer.
  if (::send(kProbeSocketFd, message.data(), message.size(), MSG_NOSIGNAL) < 0) {
    std::_Exit(EXIT_FAILURE);
  }
}

int serve(ProbeKind kind, const DirFd& proc) {
  std::vector<char> buffer(kMaxProbeMessageBytes);
  while (true) {
    const ssize_t size = ::recv(kProbeSocketFd, buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) {
      continue;
    }
    if (size <= 0) {
      return size == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    const auto request =
        decode_request(std::string_view(buffer.data(), static_cast<std::size_t>(size)));
    if (!request) {
      return EXIT_FAILURE;
    }
    if (kind == ProbeKind::kBus) {
      probe_bus(*request, send_answer);
    } else {
      probe_process(proc, *request, send_answer);
    }
  }
}

}  // namespace
}  // namespace hvguard::observe

int main(int argc, char** argv) {
  using hvguard::observe::ProbeKind;
  const std::vector<std::string> arguments(argv, argv + argc);
  const bool bus = arguments.size() == 3 && arguments[1] == "bus";
  if (arguments.size() != 3 || (!bus && arguments[1] != "process")) {
    static constexpr std::string_view usage =
        "hvguard-probe is started by hvguardd; it does nothing by hand\n";
    return ::write(STDERR_FILENO, usage.data(), usage.size()) < 0 ? 3 : 2;
  }
  const auto proc = hvguard::DirFd::open(arguments[2] + "/proc");
  if (!proc) {
    return EXIT_FAILURE;
  }
  return hvguard::observe::serve(bus ? ProbeKind::kBus : ProbeKind::kProcess, *proc);
}
