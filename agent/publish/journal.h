// Audit records in the systemd journal: what opened, changed and resolved, and what happened to
// hvguardd itself. Written in journald's native protocol over our own non-blocking socket, since
// sd_journal_send() waits for a journald that is stuck on a dead /var
// (systemd.io/JOURNAL_NATIVE_PROTOCOL). What would wait is dropped and counted. Loop thread only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "model/admin_request.h"
#include "model/incident.h"
#include "model/limit.h"

namespace hvguard::publish {

inline constexpr std::string_view kJournalSocket = "/run/systemd/journal/socket";

// Each has a fixed MESSAGE_ID, explained in packaging/hvguard.catalog.
enum class AuditKind {
  kIncidentOpened,
  kIncidentUpdated,
  kIncidentResolved,
  kConfigReloaded,
  kConfigRefused,
  kStarted,
  kStopped,
  kSourceLost,
  kSourceBack,
  kDecision,
  kAdminDone,
  kAdminRefused,
};
inline constexpr std::size_t kAuditKindCount = 12;

// 32 hexadecimal digits, as journalctl MESSAGE_ID= takes it.
[[nodiscard]] std::string_view message_id(AuditKind kind);

// syslog's numbers.
enum class Priority { kError = 3, kWarning = 4, kNotice = 5, kInfo = 6 };

struct AuditRecord {
  AuditKind kind = AuditKind::kStarted;
  Priority priority = Priority::kInfo;
  std::string message;                                      // for people
  std::vector<std::pair<std::string, std::string>> fields;  // HVGUARD_…, in order
};

// A sentence and HVGUARD_INCIDENT, HVGUARD_KIND, HVGUARD_SEVERITY, HVGUARD_SUBJECT, and HVGUARD_VM
// where the incident is about one.
[[nodiscard]] AuditRecord audit_record(const IncidentChange& change);
[[nodiscard]] AuditRecord audit_record(const SourceStatus& source);
// What was chosen, on which VM and setting, and why. `vm_name` may be empty.
[[nodiscard]] AuditRecord audit_record(const Decision& decision, std::string_view vm_name);
// Who asked for what and why, and what came of it.
[[nodiscard]] AuditRecord audit_record(const AdminRequest& request,
                                       const Result<AdminAnswer>& answer);

// The record as one datagram. All values are safe text and bounded, so no value holds a line end.
[[nodiscard]] std::string encode_audit(const AuditRecord& record);

class Journal {
 public:
  enum class Delivery { kSent, kDropped, kNoJournal };

  // Fails only if no socket can be made. Whether journald is there shows with each record.
  static Result<Journal> open(std::string path);

  // kNoJournal: nobody listens at the path, so the caller logs the record instead.
  Delivery write(const AuditRecord& record);
  [[nodiscard]] std::uint64_t dropped_count() const { return dropped_count_; }

 private:
  Journal(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  UniqueFd fd_;
  std::string path_;
  std::uint64_t dropped_count_ = 0;
};

}  // namespace hvguard::publish
