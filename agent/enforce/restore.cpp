#include "enforce/restore.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "base/text.h"
#include "enforce/cgroup_files.h"

namespace hvguard::enforce {
namespace {

constexpr std::size_t kMaxLines = 256;

enum class Fate { kRestored, kUnchanged, kForeign, kGone, kFailed };

struct Judged {
  const LeaseRecord* record = nullptr;
  Fate fate = Fate::kFailed;
  std::string why = {};
};

Judged restore_file(const DirFd& mount, const LeaseRecord& record) {
  Judged judged{.record = &record};
  const auto files = open_cgroup(mount, record.cgroup_path, record.cgroup);
  if (!files) {
    judged.fate = files.error().code == Errc::kGone ? Fate::kGone : Fate::kFailed;
    judged.why = files.error().message;
    return judged;
  }
  const SettingResult now = read_setting(*files, record.key);
  if (!now.known) {
    judged.why = now.error;
    return judged;
  }
  if (same_value(record.key.kind, now.value, record.earlier)) {
    judged.fate = Fate::kUnchanged;
    return judged;
  }
  if (!may_be_ours(record.key.kind, record.ours, record.earlier, now.value)) {
    judged.fate = Fate::kForeign;
    judged.why = fmt::format("someone else set it to {}", format_value(now.value));
    return judged;
  }
  const SettingResult then = write_setting(*files, {record.key, record.earlier});
  if (then.error.empty() && then.known && same_value(record.key.kind, then.value, record.earlier)) {
    judged.fate = Fate::kRestored;
    judged.why = fmt::format("{} instead of {}", format_value(then.value), format_value(now.value));
  } else {
    judged.why = then.error.empty() ? "the kernel did not take it" : then.error;
  }
  return judged;
}

// Whether systemd is to be told: always, but where someone else has the setting now, or where the
// unit went with its cgroup. A service keeps its properties over a restart.
bool needs_systemd(const Judged& judged) {
  const std::string& unit = judged.record->unit;
  return !unit.empty() && judged.fate != Fate::kForeign &&
         (judged.fate != Fate::kGone || unit.ends_with(".service"));
}

std::vector<DeviceLimits> io_max_of(const DirFd& mount, const LeaseRecord& record) {
  const auto files = open_cgroup(mount, record.cgroup_path, record.cgroup);
  const auto text = files ? files->read("io.max") : Result<std::string>(fail(files.error()));
  return text ? parse_io_max(*text) : std::vector<DeviceLimits>();
}

void reset_units(const DirFd& mount, std::vector<Judged>& all, const SetUnit& set_unit) {
  std::map<std::string, std::vector<Judged*>> by_unit;
  for (Judged& judged : all) {
    if (needs_systemd(judged)) {
      by_unit[judged.record->unit].push_back(&judged);
    }
  }
  for (const auto& [unit, members] : by_unit) {
    std::vector<Setting> settings;
    for (const Judged* const member : members) {
      settings.push_back({member->record->key, member->record->earlier});
    }
    const auto done =
        set_unit(unit, unit_properties(settings, io_max_of(mount, *members.front()->record)));
    for (Judged* const member : members) {
      if (done) {
        // What the file alone would not take, systemd may have written.
        if (member->fate == Fate::kFailed) {
          *member = restore_file(mount, *member->record);
        }
      } else if (member->fate != Fate::kGone) {
        member->fate = Fate::kFailed;
        member->why = fmt::format("systemd still has the limit for the next daemon-reload: {}",
                                  done.error().message);
      }
    }
  }
}

void count(const Judged& judged, RestoreReport& report) {
  std::string_view word;
  switch (judged.fate) {
    case Fate::kRestored:
      ++report.restored;
      word = "restored";
      break;
    case Fate::kUnchanged:
      ++report.unchanged;
      return;
    case Fate::kForeign:
      ++report.foreign;
      word = "left alone";
      break;
    case Fate::kGone:
      ++report.gone;
      word = "gone";
      break;
    case Fate::kFailed:
      ++report.failed;
      word = "not restored";
      report.remaining.push_back(*judged.record);
      break;
  }
  if (report.lines.size() >= kMaxLines) {
    return;
  }
  const LeaseRecord& record = *judged.record;
  report.lines.push_back(
      fmt::format("{}: {}{} of {}: {}",
                  word,
                  to_string(record.key.kind),
                  is_per_device(record.key.kind) ? " on " + to_string(record.key.device) : "",
                  safe_text(record.cgroup_path, 200),
                  judged.why));
}

}  // namespace

RestoreReport restore(const DirFd& mount,
                      const std::vector<LeaseRecord>& records,
                      const SetUnit& set_unit) {
  std::vector<Judged> all;
  all.reserve(records.size());
  for (const LeaseRecord& record : records) {
    all.push_back(restore_file(mount, record));
  }
  reset_units(mount, all, set_unit);
  RestoreReport report;
  for (const Judged& judged : all) {
    count(judged, report);
  }
  return report;
}

std::string summary(const RestoreReport& report) {
  return fmt::format(
      "{} restored, {} as before already, {} changed by someone else, {} gone, {} "
      "not restored",
      report.restored,
      report.unchanged,
      report.foreign,
      report.gone,
      report.failed);
}

}  // namespace hvguard::enforce
