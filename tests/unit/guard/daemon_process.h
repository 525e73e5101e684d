// A real hvguardd in a folder of its own, with a fake service manager listening to it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/fd.h"
#include "base/time.h"
#include "hvguard/v1/core_link.pb.h"

namespace hvguard::guard {

class DaemonProcess {
 public:
  // `config` is written to hvguard.toml in the folder.
  explicit DaemonProcess(std::string folder, const std::string& config);
  // Kills it if it still runs.
  ~DaemonProcess();
  DaemonProcess(const DaemonProcess&) = delete;
  DaemonProcess& operator=(const DaemonProcess&) = delete;

  void write_config(const std::string& config) const;
  void signal(int number) const;
  // Its exit code; none if it did not end in time, or by a signal.
  std::optional<int> wait(Nanoseconds deadline = std::chrono::seconds(20));
  // Waits until `count` more messages with this line have come.
  bool notified(const std::string& line, int count = 1);
  // Drops what has come so far. Who does not listen for long must call it now and then: the queue
  // is short, and sd_notify() waits for room in it.
  void forget_notifications();
  // A whole frame; none if there was none in time.
  [[nodiscard]] std::optional<v1::FramePart> frame() const;
  // Connected, non-blocking.
  [[nodiscard]] UniqueFd connect() const;
  [[nodiscard]] std::string errors() const;
  [[nodiscard]] std::string socket_path() const { return folder_ + "/run/core.sock"; }

 private:
  std::string folder_;
  UniqueFd notify_;
  pid_t pid_ = -1;
};

}  // namespace hvguard::guard
