#include "spool/record_file.h"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/crc32c.h"

namespace hvguard::spool {
namespace {

constexpr std::string_view kMagic = "HVGBOOT1";
constexpr std::size_t kHeaderBytes = 16;
constexpr const char* kName = "boot-record";
constexpr const char* kBadName = "boot-record.bad";
constexpr mode_t kMode = 0640;

void append_number(std::string& out, std::uint32_t value) {
  for (unsigned shift = 0; shift < 32; shift += 8) {
    out += static_cast<char>((value >> shift) & 0xFFU);
  }
}

std::uint32_t number_at(std::string_view bytes, std::size_t offset) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value |= std::uint32_t{static_cast<unsigned char>(bytes[offset + i])} << (8 * i);
  }
  return value;
}

}  // namespace

std::string encode_record(const v1::BootRecordFile& record) {
  const std::string payload = record.SerializeAsString();
  std::string out(kMagic);
  append_number(out, static_cast<std::uint32_t>(payload.size()));
  append_number(out, crc32c(payload));
  return out + payload;
}

Result<v1::BootRecordFile> decode_record(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes) {
    return fail(Errc::kInvalid, "it is shorter than its header");
  }
  if (!bytes.starts_with(kMagic)) {
    return fail(Errc::kInvalid, "it is no record of this version's layout");
  }
  const std::string_view payload = bytes.substr(kHeaderBytes);
  if (payload.size() != number_at(bytes, kMagic.size())) {
    return fail(Errc::kInvalid, "it is cut short, or longer than it says");
  }
  if (crc32c(payload) != number_at(bytes, kMagic.size() + 4)) {
    return fail(Errc::kInvalid, "its checksum is wrong");
  }
  v1::BootRecordFile record;
  if (!record.ParseFromArray(payload.data(), static_cast<int>(payload.size())) ||
      record.this_boot().boot_id().empty()) {
    return fail(Errc::kInvalid, "it says nothing that can be read");
  }
  return record;
}

Result<RecordFile> RecordFile::open(const std::string& folder) {
  auto dir = DirFd::open(folder);
  if (!dir) {
    return fail(std::move(dir).error().context("folder of the boot record"));
  }
  if (::flock(dir->get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return fail(
          Errc::kUnavailable,
          fmt::format("another hvguard-spool keeps its record in {}; stop that one first", folder));
    }
    return fail_errno(errno, "lock " + folder);
  }
  return RecordFile(*std::move(dir));
}

LoadedRecord RecordFile::quarantine(const std::string& damage) {
  if (::renameat(folder_.get(), kName, folder_.get(), kBadName) != 0) {
    return {.record = std::nullopt, .damage = damage + " (and it cannot be set aside)"};
  }
  return {.record = std::nullopt, .damage = fmt::format("{} (now {})", damage, kBadName)};
}

LoadedRecord RecordFile::load() {
  const UniqueFd file(
      ::openat(folder_.get(), kName, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.valid()) {
    return errno == ENOENT ? LoadedRecord() : quarantine("it cannot be opened");
  }
  struct stat info{};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return quarantine("it is no file");
  }
  std::string buffer(kMaxRecordBytes + 1, '\0');
  const auto bytes = read_from_start(file.get(), buffer);
  if (!bytes) {
    return quarantine(bytes.error().message);
  }
  auto record = decode_record(*bytes);
  if (!record) {
    return quarantine(record.error().message);
  }
  return {.record = *std::move(record), .damage = ""};
}

Result<> RecordFile::store(const v1::BootRecordFile& record) {
  return replace_file_at(folder_.get(), kName, encode_record(record), kMode, Durability::kDisk);
}

}  // namespace hvguard::spool
