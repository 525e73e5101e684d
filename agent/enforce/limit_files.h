// The settings of a cgroup as cgroup v2's files have them (Documentation/admin-guide/
// cgroup-v2.rst): text to value and back. Pure; the texts come from the kernel, or from whoever
// mounted something in its place, so anything is taken and nothing believed.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "model/limit.h"

namespace hvguard::enforce {

// Names one setting of one cgroup.
struct SettingKey {
  LimitKind kind = LimitKind::kReadBytes;
  DeviceId device;  // 0:0 unless is_per_device(kind)

  auto operator<=>(const SettingKey&) const = default;
};

// In the unit of its kind; none: no limit ("max"). memory.low is never none: 0 protects nothing,
// and UINT64_MAX is its "max".
using SettingValue = std::optional<std::uint64_t>;

struct Setting {
  SettingKey key;
  SettingValue value;

  bool operator==(const Setting&) const = default;
};

inline constexpr std::size_t kIoMaxKeys = 4;
// One line of io.max; values in the order of LimitKind.
struct DeviceLimits {
  DeviceId device;
  std::array<SettingValue, kIoMaxKeys> values;

  bool operator==(const DeviceLimits&) const = default;
};
inline constexpr std::size_t kMaxIoMaxLines = 64;

// "io.max", "memory.high": the file that has it.
[[nodiscard]] std::string_view file_of(LimitKind kind);
// What a cgroup has where nobody set anything: weight 100, memory.low 0, else no limit.
[[nodiscard]] SettingValue unset_value(LimitKind kind);
// Whether hvguard may set this: what the kernel refuses, or would take for something else, is an
// error that says what is allowed.
[[nodiscard]] Result<> check_setting(const Setting& setting);
// The kernel rounds memory down to whole pages and CPU time to its period: both mean the same.
[[nodiscard]] bool same_value(LimitKind kind, SettingValue a, SettingValue b);

// Of the file's whole text. A device without a line has no limit. kInvalid: no such value in it.
[[nodiscard]] Result<SettingValue> parse_setting(std::string_view text, const SettingKey& key);
// What to write, in one write(), so that parse_setting() gives `value`; `text`: what the file has
// now, of which the other three keys of an io.max line and the period of cpu.max are kept.
[[nodiscard]] std::string format_setting(std::string_view text,
                                         const SettingKey& key,
                                         SettingValue value);

// Lines of devices; those that cannot be read are left out, and all past kMaxIoMaxLines.
[[nodiscard]] std::vector<DeviceLimits> parse_io_max(std::string_view text);

// "16777216", "max": for people and the journal, parsed by parse_value().
[[nodiscard]] std::string format_value(SettingValue value);
[[nodiscard]] Result<SettingValue> parse_value(std::string_view text);

}  // namespace hvguard::enforce
