// VM managers through bpf/lifecycle.bpf.c: events within milliseconds when one starts or is told to
// end, and a scan that finds those already running without a readlink that a stuck process could
// block.
// Owned and called by the sampler thread alone.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "observe/ebpf/support.h"

struct lifecycle_bpf;
struct ring_buffer;

namespace hvguard::observe {

// A process that is or may be a VM manager, as the kernel knows it.
struct ManagerProcess {
  Pid tgid = 0;
  BootTime start;
  CgroupId cgroup;         // v2, at that moment
  std::string comm;        // raw
  std::string executable;  // raw base name; empty if 32 bytes or longer
  bool has_kvm = false;    // holds a KVM VM (known from scan() alone)
};

enum class LifecycleEventType { kExec, kStopSignal };

struct LifecycleEvent {
  LifecycleEventType type = LifecycleEventType::kExec;
  BootTime time;
  ManagerProcess process;
};

class LifecycleReader {
 public:
  // executables: globs over base names, as VmFinderConfig has them; at most 32.
  static Result<LifecycleReader> open(const BpfSupport& support,
                                      std::span<const std::string> executables);
  LifecycleReader(LifecycleReader&&) noexcept;
  LifecycleReader& operator=(LifecycleReader&&) noexcept;
  ~LifecycleReader();

  // For events and scans from now on. kInvalid: too many globs; the old ones stay.
  Result<> set_executables(std::span<const std::string> executables);

  // Signals that end a process make events for the watched ones alone. kExhausted: 4096 are
  // watched.
  Result<> watch(Pid tgid, BootTime start);
  void unwatch(Pid tgid);

  // Readable when events wait: for poll.
  [[nodiscard]] int event_fd() const;
  // All events that wait, without blocking; at most what the 64 KiB ring holds. Signals are also
  // told of a process that has the tgid of a watched one that is gone: compare `start`.
  Result<std::vector<LifecycleEvent>> events();
  // Every process that matches or holds a KVM VM, once each, in the order of tgid.
  Result<std::vector<ManagerProcess>> scan();

  // Events lost because the ring was full and processes beyond the 4096 of one scan.
  [[nodiscard]] std::uint64_t dropped_count() const;
  [[nodiscard]] std::vector<BpfProgramStatistics> statistics() const;

 private:
  struct Close {
    void operator()(lifecycle_bpf* object) const;
    void operator()(ring_buffer* ring) const;
  };

  LifecycleReader(std::unique_ptr<lifecycle_bpf, Close> object,
                  std::unique_ptr<ring_buffer, Close> ring,
                  std::unique_ptr<std::vector<LifecycleEvent>> received);

  std::unique_ptr<lifecycle_bpf, Close> object_;
  // The ring's callback writes to *received_, so that its address must outlive a move.
  std::unique_ptr<std::vector<LifecycleEvent>> received_;
  std::unique_ptr<ring_buffer, Close> ring_;
  std::vector<std::string> executables_;
  std::uint64_t dropped_processes_ = 0;
};

}  // namespace hvguard::observe
