// KVM's announcements of VMs on the kernel's uevent socket (virt/kvm/kvm_main.c,
// kvm_uevent_notify_change): "change@/devices/virtual/misc/kvm", EVENT=create|destroy, PID=….
// Sampler thread; the socket is only read, and never blocks.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/ids.h"

namespace hvguard::observe {

struct KvmEvent {
  Pid pid = 0;
  bool created = false;  // otherwise destroyed
};
// One uevent datagram: "ACTION@DEVPATH" and KEY=VALUE, each ended by NUL. None if it is not KVM's.
[[nodiscard]] std::optional<KvmEvent> parse_kvm_event(std::string_view datagram);

class KvmUevents {
 public:
  static Result<KvmUevents> open();
  [[nodiscard]] int fd() const { return fd_.get(); }
  struct Batch {
    std::vector<KvmEvent> events;
    bool lost = false;  // the socket's buffer ran over: look for VMs by scan
  };
  [[nodiscard]] Batch read();

 private:
  explicit KvmUevents(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace hvguard::observe
