// The lease journal: what each setting was before hvguard changed it, on tmpfs, so that whoever
// comes after a crash can put it back. A record is in the file before the setting is changed, and
// leaves it after the earlier value is back in the kernel and with systemd.
//
// limits.lock beside it says who may write the journal: hvguardd and each `hvguard-limits serve`
// hold it shared, a restorer alone. Text, a line for a record, each with its own checksum: a
// damaged line costs that record only, and a person can read it.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "enforce/limit_files.h"

namespace hvguard::enforce {

inline constexpr std::string_view kJournalName = "limits.journal";
inline constexpr std::string_view kJournalLockName = "limits.lock";
inline constexpr std::size_t kMaxJournalRecords = 16384;
inline constexpr std::size_t kMaxJournalBytes = std::size_t{16} << 20;
inline constexpr std::size_t kMaxPossibleValues = 8;

struct LeaseRecord {
  VmId vm;
  std::string unit;         // systemd's, to be reset there too; empty: cgroupfs alone
  std::string cgroup_path;  // below the mount: "/a/b"
  CgroupId cgroup;          // of that very directory
  SettingKey key;
  SettingValue earlier;
  // What the file may have if it is still ours: the newest last, at most kMaxPossibleValues. More
  // than one as long as the kernel has not been seen to have the newest.
  std::vector<SettingValue> ours;

  bool operator==(const LeaseRecord&) const = default;
};

// Whether `value` is what hvguard wrote, or may have: one of `ours`, or a step of memory.high on
// the way down from `earlier`.
[[nodiscard]] bool may_be_ours(LimitKind kind,
                               const std::vector<SettingValue>& ours,
                               SettingValue earlier,
                               SettingValue value);

struct JournalContent {
  BootId boot_id;
  std::vector<LeaseRecord> records;
  std::vector<std::string> damage;  // what could not be read, one sentence each, at most 16
};

[[nodiscard]] std::string encode_record(const LeaseRecord& record);  // with the newline
[[nodiscard]] std::string encode_header(const BootId& boot_id);
// Never fails: what is damaged is left out and named.
[[nodiscard]] JournalContent decode_journal(std::string_view text);
// Of the folder; no file is an empty journal. An error: it is there and cannot be read at all.
[[nodiscard]] Result<JournalContent> load_journal(const DirFd& folder);
// All of it, atomically; no records: the file is removed.
[[nodiscard]] Result<> store_journal(const DirFd& folder,
                                     const BootId& boot_id,
                                     std::span<const LeaseRecord> records);

// limits.lock, as long as the descriptor is open. `operation` as for flock(2): LOCK_SH or LOCK_EX,
// with LOCK_NB not to wait. kUnavailable: someone else has it.
[[nodiscard]] Result<UniqueFd> lock_journal(const DirFd& folder, int operation);

// The guard's side: keeps the records and writes the file. Loop thread; tmpfs does not block.
class LeaseJournal {
 public:
  // `folder` stays the caller's.
  LeaseJournal(const DirFd& folder, BootId boot_id)
      : folder_(folder), boot_id_(std::move(boot_id)) {}

  // Takes what a restorer had to leave, of this boot.
  void adopt(const JournalContent& content);
  // Puts all of them in, over those of the same VM and setting, and writes. On failure the journal
  // is as before, and nothing may be changed.
  Result<> put(std::span<const LeaseRecord> records);
  // With the next flush().
  void forget(VmId vm, const SettingKey& key);
  // Writes if something was forgotten.
  Result<> flush();

  [[nodiscard]] const LeaseRecord* find(VmId vm, const SettingKey& key) const;
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  using Key = std::pair<VmId, SettingKey>;
  struct Entry {
    LeaseRecord record;
    std::string line;
  };
  Result<> write();

  const DirFd& folder_;
  BootId boot_id_;
  std::map<Key, Entry> entries_;
  bool stale_ = false;  // the file has records that are forgotten
};

}  // namespace hvguard::enforce
