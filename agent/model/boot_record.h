// What hvguard-spool last recorded of one boot of this host (proto/hvguard/v1/boot_record.proto).
// It comes over core.sock from another process: publish/ has bounded it and made its text safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace hvguard {

// The last word of a record.
enum class BootState {
  kNoRecord,    // hvguard-spool never ran on this host before
  kRunning,     // no clean-stop mark
  kStopped,     // hvguard-spool was stopped while the host went on
  kShutdown,    // the host was being shut down, cleanly
  kUnreadable,  // there is a record, but it is damaged
};

struct RecordedIncident {
  std::string id;
  std::string kind;      // "hung_task"; as text, since another version may have known other kinds
  std::string severity;  // "critical"
  std::string subject_label;
  std::string summary;
  std::optional<WallTime> event_time;

  bool operator==(const RecordedIncident&) const = default;
};

struct RecordedFigures {
  std::optional<WallTime> observe_time;
  std::uint32_t vm_count = 0;
  std::optional<std::uint32_t> blocked_task_count;
  std::optional<double> load_average;  // over 1 minute
  std::optional<std::uint64_t> memory_available_bytes;
  std::optional<double> io_full_ratio;
  std::optional<double> memory_full_ratio;

  bool operator==(const RecordedFigures&) const = default;
};

struct PstoreFile {
  std::string path;
  std::uint64_t size_bytes = 0;
  std::optional<WallTime> modify_time;

  bool operator==(const PstoreFile&) const = default;
};

// What the kernel kept over the reboot.
struct Pstore {
  std::vector<PstoreFile> files;
  std::uint32_t left_out_file_count = 0;
  std::string telling_line;  // empty if no file has one
  std::string error;         // why not all was read; empty if it was

  bool operator==(const Pstore&) const = default;
};

struct BootRecord {
  BootState state = BootState::kNoRecord;
  BootId boot_id;  // empty if not known
  std::optional<WallTime> last_seen;
  std::optional<Nanoseconds> uptime;  // at last_seen
  std::string version;                // of the hvguard-spool that wrote it
  std::vector<RecordedIncident> incidents;
  std::uint32_t left_out_incident_count = 0;
  std::optional<RecordedFigures> figures;
  Pstore pstore;
  std::string detail;  // why it is kUnreadable

  bool operator==(const BootRecord&) const = default;
};
inline constexpr std::size_t kMaxRecordedIncidents = 16;
inline constexpr std::size_t kMaxPstoreFiles = 16;

// What hvguard-spool says when it attaches to core.sock.
struct SpoolReport {
  BootRecord previous_boot;
  std::string record_error;  // why it cannot record this boot; empty if it can
};

}  // namespace hvguard
