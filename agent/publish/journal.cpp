#include "publish/journal.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "model/names.h"
#include "publish/safe_line.h"

namespace hvguard::publish {
namespace {

constexpr std::size_t kMaxMessageBytes = 2048;
constexpr std::size_t kMaxValueBytes = 512;

Priority priority_of(Severity severity) {
  switch (severity) {
    case Severity::kInfo:
      return Priority::kNotice;
    case Severity::kWarning:
      return Priority::kWarning;
    case Severity::kCritical:
      return Priority::kError;  // "critical" in syslog is for the whole system
  }
  return Priority::kWarning;
}

std::string sentence(const IncidentChange& change) {
  const Incident& incident = change.incident;
  const std::string_view kind = to_string(incident.kind);
  switch (change.what) {
    case IncidentChange::What::kOpened:
      return fmt::format("{} opened: {}", kind, incident.summary);
    case IncidentChange::What::kUpdated:
      return fmt::format("{} changed: {}", kind, incident.summary);
    case IncidentChange::What::kResolved:
      break;
  }
  return fmt::format(
      "{} resolved after {}: {}",
      kind,
      format_duration(incident.resolve_time.value_or(incident.detect_time) - incident.event_time),
      incident.summary);
}

AuditKind audit_kind(IncidentChange::What what) {
  switch (what) {
    case IncidentChange::What::kOpened:
      return AuditKind::kIncidentOpened;
    case IncidentChange::What::kUpdated:
      return AuditKind::kIncidentUpdated;
    case IncidentChange::What::kResolved:
      break;
  }
  return AuditKind::kIncidentResolved;
}

}  // namespace

std::string_view message_id(AuditKind kind) {
  switch (kind) {
    case AuditKind::kIncidentOpened:
      return "c2fb523ce7f643cfa988536d6c49bfbe";
    case AuditKind::kIncidentUpdated:
      return "0d5ac95066004429b9cdbe8a00dd2f64";
    case AuditKind::kIncidentResolved:
      return "6ba47dfc3efe4c64bcb44cf8b6e559ef";
    case AuditKind::kConfigReloaded:
      return "bc7a7d2861d54d4b9f3fdee7b0d90440";
    case AuditKind::kConfigRefused:
      return "1dee5933afd34c69b1c8e8e01b241563";
    case AuditKind::kStarted:
      return "05b9e9e7f1bb42f5add0b46fdaab3017";
    case AuditKind::kStopped:
      return "55b8da3826ef474c84b134f0e1aaa9d8";
    case AuditKind::kSourceLost:
      return "41e364dab50d484d8d7761ef9a646677";
    case AuditKind::kSourceBack:
      return "9130194dd8324eeaa11e7bf4443f5a59";
    case AuditKind::kDecision:
      return "2b7421b6f1334dcbad9000080724b099";
    case AuditKind::kAdminDone:
      return "84b68d67301349d391a9a58117b4e746";
    case AuditKind::kAdminRefused:
      return "9608241e207d4433a02c669f8b34abe8";
  }
  return {};
}

AuditRecord audit_record(const IncidentChange& change) {
  const Incident& incident = change.incident;
  AuditRecord record;
  record.kind = audit_kind(change.what);
  record.priority = change.what == IncidentChange::What::kResolved ? Priority::kNotice
                                                                   : priority_of(incident.severity);
  record.message = sentence(change);
  record.fields = {{"HVGUARD_INCIDENT", incident.id},
                   {"HVGUARD_KIND", std::string(to_string(incident.kind))},
                   {"HVGUARD_SEVERITY", std::string(to_string(incident.severity))},
                   {"HVGUARD_SUBJECT", incident.subject.key}};
  if (incident.subject.vm) {
    record.fields.emplace_back("HVGUARD_VM", to_string(*incident.subject.vm));
  }
  return record;
}

AuditRecord audit_record(const SourceStatus& source) {
  AuditRecord record;
  const bool is_back = source.state == SourceState::kOk;
  record.kind = is_back ? AuditKind::kSourceBack : AuditKind::kSourceLost;
  record.priority = is_back ? Priority::kNotice : Priority::kWarning;
  const std::string_view name = to_string(source.source);
  record.message = is_back ? fmt::format("source {} works again", name)
                           : fmt::format("source {} is {}: {}",
                                         name,
                                         to_string(source.state),
                                         safe_line(source.detail, kMaxValueBytes));
  record.fields = {{"HVGUARD_SOURCE", std::string(name)},
                   {"HVGUARD_STATE", std::string(to_string(source.state))}};
  return record;
}

std::string encode_audit(const AuditRecord& record) {
  std::string out =
      fmt::format("MESSAGE={}\nMESSAGE_ID={}\nPRIORITY={}\nSYSLOG_IDENTIFIER=hvguardd\n",
                  safe_line(record.message, kMaxMessageBytes),
                  message_id(record.kind),
                  static_cast<int>(record.priority));
  for (const auto& [name, value] : record.fields) {
    out += fmt::format("{}={}\n", name, safe_line(value, kMaxValueBytes));
  }
  return out;
}

Result<Journal> Journal::open(std::string path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) {
    return fail_errno(errno, "make the journal's socket");
  }
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return fail(Errc::kInvalid, "journal socket: path is too long");
  }
  return Journal(std::move(fd), std::move(path));
}

Journal::Delivery Journal::write(const AuditRecord& record) {
  // Named in each call, not connected once: journald may be restarted meanwhile.
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  const std::string datagram = encode_audit(record);
  const ssize_t sent = ::sendto(fd_.get(),
                                datagram.data(),
                                datagram.size(),
                                MSG_DONTWAIT | MSG_NOSIGNAL,
                                reinterpret_cast<const sockaddr*>(&address),
                                sizeof(address));
  if (sent >= 0) {
    return Delivery::kSent;
  }
  if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR || errno == EACCES) {
    return Delivery::kNoJournal;
  }
  ++dropped_count_;
  return Delivery::kDropped;
}

}  // namespace hvguard::publish
