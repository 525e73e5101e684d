// HostReader: PSI, vmstat, meminfo, loadavg, the hung-task sysctls and our own figures, read on
// kept descriptors. Sampler thread only. None of these files takes another task's locks
// (facts in docs/SUPPORT.md; fs/proc).
#pragma once

#include <array>
#include <optional>
#include <span>

#include "base/ids.h"
#include "model/snapshot.h"
#include "observe/host_root.h"
#include "observe/source_book.h"

namespace hvguard::observe {

class HostReader {
 public:
  explicit HostReader(const HostRoot& root);

  // Opens again what could not be opened: called with every rescan, not with every tick.
  void open_missing(const HostRoot& root);
  void read(std::span<char> buffer, HostReading& host, SelfReading& self, SourceBook& book);
  // The newest PID by /proc/loadavg at the last read(): tells cheaply that something has started.
  [[nodiscard]] std::optional<Pid> newest_pid() const { return newest_pid_; }

 private:
  void read_pressure(std::span<char> buffer, HostReading& host, SourceBook& book) const;
  void read_memory(std::span<char> buffer, HostReading& host, SourceBook& book) const;
  void read_loadavg(std::span<char> buffer, HostReading& host, SourceBook& book);
  void read_hung_task(std::span<char> buffer, HostReading& host, SourceBook& book) const;
  void read_self(std::span<char> buffer, SelfReading& self) const;

  std::string hostname_;
  std::string kernel_release_;
  std::array<KeptFile, 3> pressure_;
  KeptFile vmstat_;
  KeptFile meminfo_;
  KeptFile loadavg_;
  std::array<KeptFile, 7> hung_task_;
  KeptFile self_status_;
  std::optional<Pid> newest_pid_;
};

// The boot id of /proc/sys/kernel/random/boot_id.
[[nodiscard]] Result<BootId> read_boot_id(const HostRoot& root);

}  // namespace hvguard::observe
