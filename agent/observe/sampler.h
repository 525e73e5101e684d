// Sampler: the one thread that reads the host. Makes a Snapshot per tick and hands it on.
// Started, reconfigured and stopped by guard/ on its loop thread; every function here may be called
// from that thread and none of them waits for a read. `deliver` runs on the sampler thread: post
// into the loop's inbox and return.
//
// A tick comes every `interval` from the expiry before it (what was missed is skipped, never made
// up for in a burst), and early, but no sooner than 100 ms after the last one, when a VM has
// started, was probed or has exited: so that VMs appear and vanish within a second. Early ticks do
// not move the regular ones; rates must be computed from Snapshot::boot_time, not from the
// interval.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "model/boot_record.h"
#include "model/config.h"
#include "model/snapshot.h"

namespace hvguard::observe {

struct SamplerOptions {
  std::string root = "/";  // tests point it at a tree with proc/ and sys/ in it
  SamplerConfig sampler;
  VmFinderConfig vm_finder;
  std::string probe_path;  // hvguard-probe; empty: new VMs keep their bare names
};

// What the sampler thread is reading and since when: what a tick that is late is stuck on.
struct Breadcrumb {
  std::string reading;  // "cgroup files of vm web", "waiting" between ticks
  BootTime since;
};

class Sampler {
 public:
  using Deliver = std::function<void(std::shared_ptr<const Snapshot>)>;

  // Fails only if /proc cannot be opened or no thread can be made. A missing cgroup v2 mount,
  // no BPF, no probe are losses that the Snapshots tell of.
  static Result<std::unique_ptr<Sampler>> start(SamplerOptions options, Deliver deliver);

  // Stops with the deadline of 1 s if stop() was not called.
  ~Sampler();
  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;

  // Takes effect before the next tick. Turning use_bpf on or off opens or closes the BPF sources.
  void reconfigure(SamplerConfig sampler, VmFinderConfig vm_finder);
  // What hvguard-spool said; in Snapshots from the next tick on.
  void set_spool_report(SpoolReport report);
  [[nodiscard]] Breadcrumb breadcrumb() const;
  // The thread is stuck in a read that not even a signal ends (thread_state.h).
  [[nodiscard]] bool in_uninterruptible_sleep() const;
  // No delivery begins after it returns. False: the thread was still inside a read at the deadline
  // (breadcrumb() names it) and is left behind; the process can only exit.
  bool stop(Nanoseconds deadline);

 private:
  class Worker;
  explicit Sampler(std::shared_ptr<Worker> worker);
  std::shared_ptr<Worker> worker_;
};

}  // namespace hvguard::observe
