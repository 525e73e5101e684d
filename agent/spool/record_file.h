// The boot record on disk: /var/lib/hvguard/boot-record. Main thread; every function here may hang
// with the disk, which is why this process exists.
//
// Layout: "HVGBOOT1", the size of what follows and its CRC32C (both 32 bits, little-endian), then a
// hvguard.v1.BootRecordFile. Another layout gets another last digit. Segments of events that are to
// come take the same header for each record.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "hvguard/v1/core_link.pb.h"

namespace hvguard::spool {

inline constexpr std::size_t kMaxRecordBytes = std::size_t{64} * 1024;

[[nodiscard]] std::string encode_record(const v1::BootRecordFile& record);
// kInvalid: why it is none. Hostile input, fuzzed by tests/fuzz/fuzz_boot_record.cpp.
[[nodiscard]] Result<v1::BootRecordFile> decode_record(std::string_view bytes);

// What was there at the start.
struct LoadedRecord {
  std::optional<v1::BootRecordFile> record;
  std::string damage;  // why there is none although there is a file; empty otherwise
};

class RecordFile {
 public:
  // kUnavailable: another hvguard-spool keeps its record there.
  static Result<RecordFile> open(const std::string& folder);

  // A file that cannot be read, or is no record, is renamed to boot-record.bad and told of as
  // damage: never a reason not to start.
  [[nodiscard]] LoadedRecord load();
  // Atomic and durable: temporary file, fsync, rename, fsync of the folder.
  Result<> store(const v1::BootRecordFile& record);

 private:
  explicit RecordFile(DirFd folder) : folder_(std::move(folder)) {}

  [[nodiscard]] LoadedRecord quarantine(const std::string& damage);

  DirFd folder_;
};

}  // namespace hvguard::spool
