// Any bytes as a file of a cgroup's settings, as the lease journal, and as a message between
// hvguardd and hvguard-limits: nothing crashes, bounds hold, and what is read is written the same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "enforce/lease_journal.h"
#include "enforce/limit_files.h"
#include "enforce/limits_protocol.h"
#include "enforce/unit_properties.h"

namespace {

void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

void check_settings(std::string_view text) {
  using namespace hvguard::enforce;
  for (std::size_t i = 0; i < hvguard::kLimitKindCount; ++i) {
    const auto kind = static_cast<hvguard::LimitKind>(i);
    const SettingKey key{
        kind, hvguard::is_per_device(kind) ? hvguard::DeviceId{8, 0} : hvguard::DeviceId{}};
    const auto value = parse_setting(text, key);
    if (value) {
      const auto again = parse_setting(format_setting(text, key, *value), key);
      require(again && same_value(kind, *again, *value));
    }
  }
  const auto lines = parse_io_max(text);
  require(lines.size() <= kMaxIoMaxLines);
  const Setting change{{hvguard::LimitKind::kReadBytes, {8, 0}}, 5};
  require(!unit_properties({&change, 1}, lines).empty());
}

void check_journal(std::string_view text) {
  using namespace hvguard::enforce;
  const auto content = decode_journal(text);
  require(content.records.size() <= kMaxJournalRecords);
  std::string again;
  for (const auto& record : content.records) {
    require(record.cgroup_path.starts_with('/') && !record.ours.empty());
    again += encode_record(record);
  }
  require(decode_journal(again).records == content.records);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hvguard::enforce;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_settings(text);
  check_journal(text);
  if (size > 0) {
    // With its right checksum, or no line would ever be looked into.
    LeaseRecord record;
    record.cgroup_path = "/" + std::string(text.substr(0, text.find('\n')));
    record.ours = {data[0]};
    record.key.device = {8, 0};
    if (record.cgroup_path.size() <= 4096) {
      require(decode_journal(encode_record(record)).records.size() == 1);
    }
  }
  if (const auto request = decode_limits_request(text)) {
    require(request->settings.size() <= kMaxSettings);
    require(encode(*request).size() <= kMaxLimitsMessageBytes);
  }
  if (const auto answer = decode_limits_answer(text)) {
    require(encode(*answer).size() <= kMaxLimitsMessageBytes);
  }
  static_cast<void>(is_limitable_unit(text));
  return 0;
}
