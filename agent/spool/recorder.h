// Recorder: what goes into the boot record, and when. Pure: clocks come from the caller. Main
// thread.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "base/time.h"
#include "hvguard/v1/boot_record.pb.h"
#include "link/frame_assembler.h"
#include "spool/record_file.h"

namespace hvguard::spool {

// Once a minute: what is known of the end is at most that old, and it is one small write.
inline constexpr Nanoseconds kRecordEvery = std::chrono::seconds(60);
// Incidents that come and go many times a second must not become as many flushes of the disk.
inline constexpr Nanoseconds kRecordApart = std::chrono::seconds(5);
inline constexpr std::size_t kMaxRecordedIncidents = 16;

struct Moment {
  BootTime boot;
  WallTime wall;
};

// What the record that was found says of the boot before the present one. What pstore holds is not
// in it yet, unless an earlier hvguard-spool of this boot had looked.
[[nodiscard]] v1::BootRecord previous_boot(const LoadedRecord& found, const std::string& boot_id);

class Recorder {
 public:
  Recorder(std::string boot_id, v1::BootRecord previous_boot);

  // Takes what the record shall hold of the frame.
  void take(const link::Frame& frame);
  [[nodiscard]] BootTime next_due() const;
  // The whole record; it counts as written.
  [[nodiscard]] v1::BootRecordFile record(v1::BootRecord::State state, const Moment& now);

  [[nodiscard]] const v1::BootRecord& previous() const { return previous_; }

 private:
  v1::BootRecord this_boot_;
  v1::BootRecord previous_;
  std::set<std::string> open_ids_;  // as the last frame had them
  bool changed_ = false;            // since the last record
  std::optional<BootTime> last_record_;
};

}  // namespace hvguard::spool
