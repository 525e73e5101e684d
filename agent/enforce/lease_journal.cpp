#include "enforce/lease_journal.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/parse.h"
#include "base/text.h"

namespace hvguard::enforce {
namespace {

constexpr std::string_view kMagic = "hvguard-limits-1";
constexpr std::size_t kMaxDamage = 16;

// A line that begins with the checksum of the rest.
std::string sealed(const std::string& body) {
  return fmt::format("{:08x} {}\n", crc32c(body), body);
}

std::optional<std::string_view> unsealed(std::string_view line) {
  const auto sum = parse_number<std::uint32_t>(next_field(line, ' '), 16);
  return sum && *sum == crc32c(line) ? std::optional(line) : std::nullopt;
}

std::string word_of(LimitKind kind) {
  std::string word(to_string(kind));
  std::ranges::replace(word, ' ', ':');
  return word;
}

std::optional<LimitKind> kind_of(std::string_view word) {
  for (std::size_t i = 0; i < kLimitKindCount; ++i) {
    const auto kind = static_cast<LimitKind>(i);
    if (word_of(kind) == word) {
      return kind;
    }
  }
  return std::nullopt;
}

std::optional<std::vector<SettingValue>> values_of(std::string_view list) {
  std::vector<SettingValue> values;
  while (!list.empty() && values.size() < kMaxPossibleValues) {
    const auto value = parse_value(next_field(list, ','));
    if (!value) {
      return std::nullopt;
    }
    values.push_back(*value);
  }
  return values.empty() || !list.empty() ? std::nullopt : std::optional(values);
}

std::optional<LeaseRecord> decode_record(std::string_view line) {
  const auto vm = parse_vm_id(next_field(line, ' '));
  const auto cgroup = parse_number<std::uint64_t>(next_field(line, ' '));
  const auto kind = kind_of(next_field(line, ' '));
  const auto device = parse_device_id(next_field(line, ' '));
  const auto earlier = parse_value(next_field(line, ' '));
  auto ours = values_of(next_field(line, ' '));
  const auto unit = next_field(line, ' ');
  if (!vm || !cgroup || !kind || !device || !earlier || !ours || unit.empty() ||
      !line.starts_with('/') || line.size() > 4096 ||
      is_per_device(*kind) != (*device != DeviceId{})) {
    return std::nullopt;
  }
  return LeaseRecord{.vm = *vm,
                     .unit = unit == "-" ? "" : std::string(unit),
                     .cgroup_path = std::string(line),  // may have blanks, never a line end
                     .cgroup = CgroupId{*cgroup},
                     .key = {*kind, *device},
                     .earlier = *earlier,
                     .ours = *std::move(ours)};
}

Result<> replace_journal(const DirFd& folder, std::string_view text) {
  const std::string name(kJournalName);
  if (text.empty()) {
    if (::unlinkat(folder.get(), name.c_str(), 0) != 0 && errno != ENOENT) {
      return fail_errno(errno, "remove " + name);
    }
    return {};
  }
  return replace_file_at(folder.get(), name, text, 0600, Durability::kMemory);
}

}  // namespace

bool may_be_ours(LimitKind kind,
                 const std::vector<SettingValue>& ours,
                 SettingValue earlier,
                 SettingValue value) {
  return std::ranges::any_of(ours, [&](const SettingValue& one) {
    const bool step = kind == LimitKind::kMemoryHigh && one && value && *value > *one &&
                      (!earlier || *value < *earlier);
    return step || same_value(kind, one, value);
  });
}

std::string encode_record(const LeaseRecord& record) {
  std::string ours;
  for (const SettingValue& value : record.ours) {
    ours += (ours.empty() ? "" : ",") + format_value(value);
  }
  return sealed(fmt::format("{} {} {} {} {} {} {} {}",
                            to_string(record.vm),
                            record.cgroup.value,
                            word_of(record.key.kind),
                            to_string(record.key.device),
                            format_value(record.earlier),
                            ours,
                            record.unit.empty() ? "-" : record.unit,
                            record.cgroup_path));
}

std::string encode_header(const BootId& boot_id) {
  return sealed(fmt::format("{} {}", kMagic, boot_id));
}

JournalContent decode_journal(std::string_view text) {
  JournalContent content;
  const auto damaged = [&content](std::string what) {
    if (content.damage.size() < kMaxDamage) {
      content.damage.push_back(std::move(what));
    }
  };
  for (std::size_t number = 1; !text.empty(); ++number) {
    const bool whole = text.find('\n') != std::string_view::npos;
    const auto line = next_field(text, '\n');
    const auto body = unsealed(line);
    if (!whole || !body) {
      damaged(fmt::format("line {} is damaged: {}", number, safe_text(line, 160)));
      continue;
    }
    auto rest = *body;
    if (next_field(rest, ' ') == kMagic) {
      content.boot_id = std::string(rest.substr(0, 64));
      continue;
    }
    auto record = decode_record(*body);
    if (!record) {
      damaged(fmt::format("line {} is of no form known: {}", number, safe_text(*body, 160)));
    } else if (content.records.size() < kMaxJournalRecords) {
      content.records.push_back(*std::move(record));
    } else {
      damaged(fmt::format("more than {} records", kMaxJournalRecords));
    }
  }
  return content;
}

Result<JournalContent> load_journal(const DirFd& folder) {
  const std::string name(kJournalName);
  const UniqueFd file(
      ::openat(folder.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.valid()) {
    return errno == ENOENT ? Result<JournalContent>(JournalContent{})
                           : Result<JournalContent>(fail_errno(errno, "open " + name));
  }
  struct stat info{};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode) ||
      info.st_size > static_cast<off_t>(kMaxJournalBytes)) {
    return fail(Errc::kInvalid, name + " is no file of ours");
  }
  std::string buffer(static_cast<std::size_t>(info.st_size) + 1, '\0');
  const auto text = read_from_start(file.get(), buffer);
  if (!text) {
    return fail(Error(text.error()).context(name));
  }
  return decode_journal(*text);
}

Result<> store_journal(const DirFd& folder,
                       const BootId& boot_id,
                       std::span<const LeaseRecord> records) {
  std::string text = records.empty() ? "" : encode_header(boot_id);
  for (const LeaseRecord& record : records) {
    text += encode_record(record);
  }
  return replace_journal(folder, text);
}

Result<UniqueFd> lock_journal(const DirFd& folder, int operation) {
  const std::string name(kJournalLockName);
  UniqueFd lock(::openat(
      folder.get(), name.c_str(), O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  if (!lock.valid()) {
    return fail_errno(errno, "open " + name);
  }
  while (::flock(lock.get(), operation) != 0) {
    if (errno != EINTR) {
      return fail_errno(errno, "lock " + name);
    }
  }
  return lock;
}

void LeaseJournal::adopt(const JournalContent& content) {
  if (content.boot_id != boot_id_) {
    return;  // no cgroup of another boot is left
  }
  for (const LeaseRecord& record : content.records) {
    entries_[{record.vm, record.key}] = {record, encode_record(record)};
  }
}

Result<> LeaseJournal::put(std::span<const LeaseRecord> records) {
  auto before = entries_;
  for (const LeaseRecord& record : records) {
    entries_[{record.vm, record.key}] = {record, encode_record(record)};
  }
  auto written = entries_.size() <= kMaxJournalRecords
                     ? write()
                     : fail(Errc::kExhausted, "more limits than the journal may hold");
  if (!written) {
    entries_ = std::move(before);
    return fail(std::move(written).error().context("limits.journal"));
  }
  return {};
}

void LeaseJournal::forget(VmId vm, const SettingKey& key) {
  stale_ |= entries_.erase({vm, key}) > 0;
}

Result<> LeaseJournal::flush() {
  return stale_ ? write() : Result<>();
}

const LeaseRecord* LeaseJournal::find(VmId vm, const SettingKey& key) const {
  const auto found = entries_.find({vm, key});
  return found != entries_.end() ? &found->second.record : nullptr;
}

Result<> LeaseJournal::write() {
  std::string text = entries_.empty() ? "" : encode_header(boot_id_);
  for (const auto& [key, entry] : entries_) {
    text += entry.line;
  }
  auto written = replace_journal(folder_, text);
  stale_ &= !written;
  return written;
}

}  // namespace hvguard::enforce
