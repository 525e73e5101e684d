#include "observe/kvm_uevents.h"

#include <array>
#include <cerrno>
#include <tuple>

#include <linux/netlink.h>
#include <sys/socket.h>

#include "base/parse.h"

namespace hvguard::observe {
namespace {

constexpr std::size_t kMaxEventsPerRead = 256;
constexpr std::uint32_t kKernelGroup = 1;  // group 2 is what udevd sends on

}  // namespace

std::optional<KvmEvent> parse_kvm_event(std::string_view datagram) {
  auto head = next_field(datagram, '\0');
  std::ignore = next_field(head, '@');
  if (head != "/devices/virtual/misc/kvm") {
    return std::nullopt;
  }
  KvmEvent event;
  bool has_kind = false;
  while (!datagram.empty()) {
    auto value = next_field(datagram, '\0');
    const auto key = next_field(value, '=');
    if (key == "EVENT" && (value == "create" || value == "destroy")) {
      event.created = value == "create";
      has_kind = true;
    } else if (key == "PID") {
      event.pid = parse_number<Pid>(value).value_or(0);
    }
  }
  return has_kind && event.pid > 0 ? std::optional(event) : std::nullopt;
}

Result<KvmUevents> KvmUevents::open() {
  UniqueFd fd(
      ::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
  if (!fd.valid()) {
    return fail_errno(errno, "open uevent socket");
  }
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = kKernelGroup;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno(errno, "bind uevent socket");
  }
  return KvmUevents(std::move(fd));
}

KvmUevents::Batch KvmUevents::read() {
  Batch batch;
  std::array<char, 8192> buffer;
  for (std::size_t i = 0; i < kMaxEventsPerRead; ++i) {
    sockaddr_nl sender{};
    socklen_t sender_size = sizeof sender;
    const ssize_t size = ::recvfrom(fd_.get(),
                                    buffer.data(),
                                    buffer.size(),
                                    MSG_DONTWAIT,
                                    reinterpret_cast<sockaddr*>(&sender),
                                    &sender_size);
    if (size < 0) {
      batch.lost |= errno == ENOBUFS;
      if (errno == EINTR || errno == ENOBUFS) {
        continue;
      }
      return batch;
    }
    // Any process may send to the group's members; only the kernel's own port is 0.
    if (sender.nl_pid != 0) {
      continue;
    }
    const auto event =
        parse_kvm_event(std::string_view(buffer.data(), static_cast<std::size_t>(size)));
    if (event) {
      batch.events.push_back(*event);
    }
  }
  return batch;
}

}  // namespace hvguard::observe
