// Block IO per VM and disk through bpf/block_io.bpf.c: operations, bytes, errors, latencies, and
// what is in flight. Each VM is known by its cgroups or by its process; what belongs to none goes
// to one "other" reading per disk and is never charged to a VM. Owned and called by the sampler
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "model/snapshot.h"
#include "observe/ebpf/support.h"

struct block_io_bpf;

namespace hvguard::observe {

struct BlockIoOptions {
  // Pairs of VM (or "other") and disk that can be told apart; 1 to 16384. About 2 or 4 KiB each of
  // kernel memory, charged to the daemon's own cgroup.
  std::uint32_t max_accounts = 2048;
  // Requests in flight for so long are looked up: have they ended without our seeing it? Well below
  // the time after which IO counts as stalled.
  Nanoseconds ask_after = std::chrono::seconds(1);
};

// Since open(). What is lost here is lost for the counters too, unless said otherwise.
struct BlockIoLosses {
  std::uint64_t no_account = 0;  // requests of pairs for which there was no account left
  // Requests not followed to completion: there was no room for them (they are counted, by their
  // cgroup), or their completion was missed (stale: they are not).
  std::uint64_t no_pending = 0;
  std::uint64_t unseen = 0;   // completed but never seen issued: in flight when we attached
  std::uint64_t stale = 0;    // ended, but not seen completing
  std::uint64_t untimed = 0;  // completions whose queue notes no time of issue: no device time
};

class BlockIoReader {
 public:
  // Fails if the object does not load (run_libbpf); then io.stat is the fallback.
  static Result<BlockIoReader> open(const BpfSupport& support, const BlockIoOptions& options = {});
  BlockIoReader(BlockIoReader&&) noexcept;
  BlockIoReader& operator=(BlockIoReader&&) noexcept;
  ~BlockIoReader();

  // Counts this VM's IO from now on, or changes how: kCgroup by the given v2 cgroups (all that hold
  // its threads), kSubmitter by its process (which tgid, io_uring workers, iothreads and vhost
  // threads share). Cheap when nothing changed. A cgroup given for two VMs counts for the latter.
  // kExhausted: a table is full, the VM is known only in part.
  Result<> set_vm(const VmId& vm, IoAttribution how, std::span<const CgroupId> cgroups);
  // Forgets it; its counters are free again from the second read() on.
  void drop_vm(const VmId& vm);
  // Frees the counters of disks that are not in the list (every disk the host has).
  void retain_devices(std::span<const DeviceId> devices);

  // One reading per pair that ever had IO. counts_only is false; in_flight_count is exact,
  // and that of flushes is absent where missed completions cannot be found (level 2).
  Result<std::vector<BlockIoReading>> read();

  [[nodiscard]] BlockIoLosses losses() const;
  [[nodiscard]] std::vector<BpfProgramStatistics> statistics() const;

 private:
  class Implementation;
  explicit BlockIoReader(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace hvguard::observe
