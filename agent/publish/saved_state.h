// What survives a restart of hvguardd: the epoch and the incidents, in one small file on tmpfs.
// Written by the loop when something changed, read once at the start. Evidence is not kept: the
// detectors find it again within ticks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "hvguard/v1/core_link.pb.h"
#include "model/incident.h"

namespace hvguard::publish {

// About 2000 incidents; a longer file is not ours.
inline constexpr std::size_t kMaxStateBytes = 4 * 1024 * 1024;

struct RestoredState {
  std::vector<Incident> incidents;  // without evidence
  std::uint64_t epoch = 0;          // highest one used so far, 0 if not known
  std::string note;                 // why nothing, or not all, was restored; empty if fine
};

[[nodiscard]] v1::SavedState save_state(const std::vector<Incident>& incidents,
                                        const BootId& boot_id,
                                        std::uint64_t epoch);
// Never fails: what is corrupt, or of another boot, is left out and noted. An epoch that can be
// read is kept in any case.
[[nodiscard]] RestoredState restore_state(std::string_view bytes, const BootId& boot_id);

class StateFile {
 public:
  // `name` inside the folder that `folder_fd` holds open; the fd stays the caller's.
  StateFile(int folder_fd, std::string name) : folder_fd_(folder_fd), name_(std::move(name)) {}

  // A file that does not exist, or cannot be read, gives an empty state.
  [[nodiscard]] RestoredState load(const BootId& boot_id) const;
  // Writes if the bytes differ from the last ones written. Atomic (temporary file, then rename); no
  // fsync, since tmpfs is gone at a power cut anyway.
  Result<> store(const v1::SavedState& state);

 private:
  int folder_fd_;
  std::string name_;
  std::string last_written_;
};

}  // namespace hvguard::publish
