#include "enforce/limit_files.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/parse.h"

namespace hvguard::enforce {
namespace {

constexpr std::uint64_t kMicrosecondsPerSecond = 1'000'000;
constexpr std::uint64_t kDefaultPeriod = 100'000;  // of cpu.max, microseconds
constexpr std::uint64_t kLargestPage = 65'536;
// Less than 0.1 % of a CPU: what rounding to any period can make of it.
constexpr std::uint64_t kCpuRounding = 1'000;
constexpr std::uint64_t kMostCpu = UINT64_MAX / kMicrosecondsPerSecond / 2;
constexpr std::uint64_t kMaxPids = 4'194'304;  // PID_MAX_LIMIT
constexpr std::uint64_t kMinCpu = 10'000;      // 1 ms in a period of 100 ms, the kernel's least

// As the kernel prints them, in the order of LimitKind.
constexpr std::array<std::string_view, kIoMaxKeys> kIoMaxNames = {"rbps", "riops", "wbps", "wiops"};

std::size_t index_of(LimitKind kind) {
  return static_cast<std::size_t>(kind);
}

std::string_view next_line(std::string_view& text) {
  const auto end = std::min(text.find('\n'), text.size());
  const auto line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::optional<DeviceLimits> parse_io_max_line(std::string_view line) {
  const auto device = parse_device_id(next_word(line));
  if (!device) {
    return std::nullopt;
  }
  DeviceLimits limits{*device, {}};
  for (auto word = next_word(line); !word.empty(); word = next_word(line)) {
    const auto name = next_field(word, '=');
    const auto* const known = std::ranges::find(kIoMaxNames, name);
    const auto value = parse_value(word);
    if (known != kIoMaxNames.end() && value) {
      limits.values.at(static_cast<std::size_t>(known - kIoMaxNames.begin())) = *value;
    }
  }
  return limits;
}

DeviceLimits limits_of(std::string_view text, DeviceId device) {
  const auto all = parse_io_max(text);
  const auto found = std::ranges::find(all, device, &DeviceLimits::device);
  return found != all.end() ? *found : DeviceLimits{device, {}};
}

Result<SettingValue> parse_weight(std::string_view text) {
  while (!text.empty()) {
    auto line = next_line(text);
    auto word = next_word(line);
    if (word == "default") {  // io.weight; cpu.weight is the number alone
      word = next_word(line);
    }
    if (const auto value = parse_number<std::uint64_t>(word)) {
      return SettingValue(value);
    }
  }
  return fail(Errc::kInvalid, "no weight in it");
}

std::uint64_t period_of(std::string_view text) {
  static_cast<void>(next_word(text));
  const auto period = parse_number<std::uint64_t>(next_word(text));
  return period && *period > 0 && *period <= kMicrosecondsPerSecond ? *period : kDefaultPeriod;
}

// To the nearest, so that a value which came from quota and period gives the same quota back.
std::uint64_t scaled(std::uint64_t value, std::uint64_t by, std::uint64_t over) {
  return (value * by + over / 2) / over;
}

Result<SettingValue> parse_cpu_max(std::string_view text) {
  auto rest = text;
  auto quota = parse_value(next_word(rest));
  if (!quota || !quota->has_value()) {
    return quota;
  }
  if (**quota > kMostCpu) {
    return fail(Errc::kInvalid, "more CPU time than there is");
  }
  return SettingValue(std::min(scaled(**quota, kMicrosecondsPerSecond, period_of(text)), kMostCpu));
}

std::string format_cpu_max(std::string_view text, SettingValue value) {
  const auto period = period_of(trimmed(text));
  if (!value) {
    return fmt::format("max {}", period);
  }
  return fmt::format(
      "{} {}", scaled(std::min(*value, kMostCpu), period, kMicrosecondsPerSecond), period);
}

bool is_weight(LimitKind kind) {
  return kind == LimitKind::kIoWeight || kind == LimitKind::kCpuWeight;
}

bool is_memory(LimitKind kind) {
  return kind == LimitKind::kMemoryLow || kind == LimitKind::kMemoryHigh ||
         kind == LimitKind::kMemoryMax || kind == LimitKind::kSwapMax;
}

Result<> bounded(const Setting& setting, std::uint64_t least, std::uint64_t most) {
  if (!setting.value) {
    return {};
  }
  if (*setting.value < least || *setting.value > most) {
    return fail(Errc::kInvalid,
                fmt::format("{} of {} is not possible: it is {} to {}",
                            to_string(setting.key.kind),
                            *setting.value,
                            least,
                            most));
  }
  return {};
}

}  // namespace

std::string_view file_of(LimitKind kind) {
  return is_per_device(kind) ? "io.max" : to_string(kind);
}

SettingValue unset_value(LimitKind kind) {
  if (is_weight(kind)) {
    return 100;
  }
  return kind == LimitKind::kMemoryLow ? SettingValue(0) : std::nullopt;
}

Result<> check_setting(const Setting& setting) {
  const LimitKind kind = setting.key.kind;
  if (is_per_device(kind) != (setting.key.device != DeviceId{})) {
    return fail(
        Errc::kInvalid,
        fmt::format("{} {}",
                    to_string(kind),
                    is_per_device(kind) ? "needs a device, as MAJOR:MINOR" : "is not per device"));
  }
  if (is_per_device(kind)) {
    return bounded(setting, 2, UINT64_MAX - 1);  // 0 and 1 are ERANGE and EINVAL
  }
  if (is_weight(kind)) {
    return setting.value ? bounded(setting, 1, 10'000)
                         : fail(Errc::kInvalid, "a weight is a number; 100 is the usual one");
  }
  switch (kind) {
    case LimitKind::kPidsMax:
      return bounded(setting, 1, kMaxPids);
    case LimitKind::kCpuMax:
      return bounded(setting, kMinCpu, kMostCpu);
    case LimitKind::kMemoryHigh:
    case LimitKind::kMemoryMax:
      return bounded(setting, kLargestPage, UINT64_MAX - 1);
    case LimitKind::kMemoryLow:
      return setting.value ? Result<>() : fail(Errc::kInvalid, "memory.low is a number of bytes");
    default:
      return {};
  }
}

bool same_value(LimitKind kind, SettingValue a, SettingValue b) {
  if (!a || !b) {
    return a == b;
  }
  const std::uint64_t apart = std::max(*a, *b) - std::min(*a, *b);
  if (is_memory(kind)) {
    return apart < kLargestPage;
  }
  return kind == LimitKind::kCpuMax ? apart < kCpuRounding : apart == 0;
}

Result<SettingValue> parse_setting(std::string_view text, const SettingKey& key) {
  if (is_per_device(key.kind)) {
    return limits_of(text, key.device).values.at(index_of(key.kind));
  }
  if (is_weight(key.kind)) {
    return parse_weight(text);
  }
  if (key.kind == LimitKind::kCpuMax) {
    return parse_cpu_max(trimmed(text));
  }
  auto value = parse_value(trimmed(text));
  if (value && !value->has_value() && key.kind == LimitKind::kMemoryLow) {
    return SettingValue(UINT64_MAX);
  }
  return value;
}

std::string format_setting(std::string_view text, const SettingKey& key, SettingValue value) {
  if (is_per_device(key.kind)) {
    auto limits = limits_of(text, key.device);
    limits.values.at(index_of(key.kind)) = value;
    std::string line = to_string(key.device);
    for (std::size_t i = 0; i < kIoMaxKeys; ++i) {
      line += fmt::format(" {}={}", kIoMaxNames.at(i), format_value(limits.values.at(i)));
    }
    return line;
  }
  if (key.kind == LimitKind::kIoWeight) {
    return "default " + format_value(value ? value : unset_value(key.kind));
  }
  if (key.kind == LimitKind::kCpuMax) {
    return format_cpu_max(text, value);
  }
  if (key.kind == LimitKind::kMemoryLow && value == UINT64_MAX) {
    return "max";
  }
  return format_value(value || !unset_value(key.kind) ? value : unset_value(key.kind));
}

std::vector<DeviceLimits> parse_io_max(std::string_view text) {
  std::vector<DeviceLimits> all;
  while (!text.empty() && all.size() < kMaxIoMaxLines) {
    if (const auto limits = parse_io_max_line(next_line(text))) {
      all.push_back(*limits);
    }
  }
  return all;
}

std::string format_value(SettingValue value) {
  return value ? std::to_string(*value) : "max";
}

Result<SettingValue> parse_value(std::string_view text) {
  if (text == "max") {
    return SettingValue();
  }
  const auto number = parse_number<std::uint64_t>(text);
  if (!number) {
    return fail(Errc::kInvalid, "neither a number nor \"max\"");
  }
  return SettingValue(number);
}

}  // namespace hvguard::enforce
