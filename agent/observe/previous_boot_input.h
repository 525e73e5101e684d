// PreviousBootInput: what hvguard-spool said, as an input of Snapshots with a source of its own.
// It comes from another process through the loop and not by a read, so it has a grace period
// instead of a deadline: hvguard-spool starts after hvguardd, and may be waiting for a disk.
// set() from any thread, fill() on the sampler's.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/time.h"
#include "model/boot_record.h"
#include "model/snapshot.h"
#include "observe/source_book.h"

namespace hvguard::observe {

// From the first tick on. hvguard-spool tries again every few seconds; a minute is plenty.
inline constexpr Nanoseconds kSpoolGrace = std::chrono::seconds(60);

class PreviousBootInput {
 public:
  void set(SpoolReport report);
  void fill(BootTime now, Snapshot& snapshot, SourceBook& book);

 private:
  std::mutex mutex_;
  // Guarded by mutex_.
  std::shared_ptr<const BootRecord> record_;
  std::string record_error_;

  std::optional<BootTime> first_fill_;
};

}  // namespace hvguard::observe
