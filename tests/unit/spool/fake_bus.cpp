#include "fake_bus.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>

namespace hvguard::test {
namespace {

constexpr std::uint64_t kTurnMicroseconds = 20'000;

int answer(sd_bus_message* message, void* state, sd_bus_error* /*error*/) {
  const std::string_view member =
      sd_bus_message_get_member(message) == nullptr ? "" : sd_bus_message_get_member(message);
  if (member == "Hello") {
    return sd_bus_reply_method_return(message, "s", ":1.7");
  }
  if (member == "Get") {
    const char* interface = nullptr;
    const char* property = nullptr;
    sd_bus_message_read(message, "ss", &interface, &property);
    if (property != nullptr && std::string_view(property) == "SystemState") {
      return sd_bus_reply_method_return(
          message, "v", "s", static_cast<const std::string*>(state)->c_str());
    }
  }
  return 0;
}

}  // namespace

FakeBus::FakeBus(const std::string& socket_path, std::string system_state, std::size_t silent_count)
    : state_(std::move(system_state)),
      silent_count_(silent_count),
      listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(listener_.get(), 4) != 0) {
    std::abort();
  }
  ::setenv("DBUS_SYSTEM_BUS_ADDRESS", ("unix:path=" + socket_path).c_str(), 1);
  thread_ = std::thread([this] { serve(); });
}

FakeBus::~FakeBus() {
  stopping_ = true;
  thread_.join();
  ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
}

void FakeBus::serve() {
  std::vector<UniqueFd> ignored;
  while (!stopping_) {
    pollfd ready{listener_.get(), POLLIN, 0};
    if (::poll(&ready, 1, 20) <= 0) {
      continue;
    }
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (state_.empty() || ignored.size() < silent_count_) {
      ignored.push_back(std::move(fd));
    } else if (fd.valid()) {
      talk(fd.release());
    }
  }
}

// One connection after the other is enough here. The bus takes the descriptor over.
void FakeBus::talk(int fd) {
  sd_bus* bus = nullptr;
  sd_id128_t id{};
  sd_id128_randomize(&id);
  if (sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, fd, fd) < 0 || sd_bus_set_server(bus, 1, id) < 0 ||
      sd_bus_set_trusted(bus, 1) < 0 || sd_bus_add_filter(bus, nullptr, answer, &state_) < 0 ||
      sd_bus_start(bus) < 0) {
    std::abort();
  }
  int status = 0;
  while (!stopping_ && status >= 0) {
    status = sd_bus_process(bus, nullptr);
    if (status == 0) {
      status = sd_bus_wait(bus, kTurnMicroseconds);
    }
  }
  sd_bus_close_unref(bus);
}

}  // namespace hvguard::test
