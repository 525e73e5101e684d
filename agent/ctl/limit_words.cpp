#include "ctl/limit_words.h"

#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "base/parse.h"
#include "base/text.h"
#include "ctl/format.h"

namespace hvguard::ctl {
namespace {

constexpr double kMicrosecondsPerSecond = 1e6;
constexpr double kLargest = 9e18;  // what the kernel counts in signed 64 bits
constexpr std::size_t kMaxShownBytes = 64;

bool is_bytes(v1::Limit::Kind kind) {
  switch (kind) {
    case v1::Limit::KIND_READ_BYTES:
    case v1::Limit::KIND_WRITE_BYTES:
    case v1::Limit::KIND_MEMORY_LOW:
    case v1::Limit::KIND_MEMORY_HIGH:
    case v1::Limit::KIND_MEMORY_MAX:
    case v1::Limit::KIND_SWAP_MAX:
      return true;
    default:
      return false;
  }
}

std::optional<double> unit_factor(char unit) {
  switch (unit) {
    case 'K':
    case 'k':
      return 1024.0;
    case 'M':
      return 1024.0 * 1024;
    case 'G':
      return 1024.0 * 1024 * 1024;
    case 'T':
      return 1024.0 * 1024 * 1024 * 1024;
    default:
      return std::nullopt;
  }
}

// "1.5": digits and one point, no sign, no exponent.
std::optional<double> decimal(std::string_view text) {
  double value = 0;
  const auto [stop, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  const bool plain = text.find_first_not_of("0123456789.") == std::string_view::npos;
  return plain && !text.empty() && error == std::errc() && stop == text.data() + text.size()
             ? std::optional(value)
             : std::nullopt;
}

std::string expected(v1::Limit::Kind kind) {
  if (is_bytes(kind)) {
    return "a number of bytes, such as 40M or 1.5G";
  }
  return kind == v1::Limit::KIND_CPU_MAX
             ? "microseconds of CPU in a second, or per cent of one CPU, such as 50%"
             : "a whole number";
}

}  // namespace

std::string limit_kind_name(v1::Limit::Kind kind) {
  return enum_text(v1::Limit::Kind_Name(kind), "KIND_");
}

std::vector<std::string> limit_kind_names() {
  std::vector<std::string> names;
  for (int number = v1::Limit::Kind_MIN; number <= v1::Limit::Kind_MAX; ++number) {
    if (number != v1::Limit::KIND_UNSPECIFIED && v1::Limit::Kind_IsValid(number)) {
      names.push_back(limit_kind_name(static_cast<v1::Limit::Kind>(number)));
    }
  }
  return names;
}

v1::Limit::Kind limit_kind_of(std::string_view name) {
  for (int number = v1::Limit::Kind_MIN; number <= v1::Limit::Kind_MAX; ++number) {
    if (v1::Limit::Kind_IsValid(number) &&
        limit_kind_name(static_cast<v1::Limit::Kind>(number)) == name) {
      return static_cast<v1::Limit::Kind>(number);
    }
  }
  return v1::Limit::KIND_UNSPECIFIED;
}

bool is_per_device(v1::Limit::Kind kind) {
  return kind >= v1::Limit::KIND_READ_BYTES && kind <= v1::Limit::KIND_WRITE_OPERATIONS;
}

std::string setting_text(v1::Limit::Kind kind) {
  switch (kind) {
    case v1::Limit::KIND_READ_BYTES:
      return "io.max rbps";
    case v1::Limit::KIND_READ_OPERATIONS:
      return "io.max riops";
    case v1::Limit::KIND_WRITE_BYTES:
      return "io.max wbps";
    case v1::Limit::KIND_WRITE_OPERATIONS:
      return "io.max wiops";
    case v1::Limit::KIND_IO_WEIGHT:
      return "io.weight";
    case v1::Limit::KIND_MEMORY_LOW:
      return "memory.low";
    case v1::Limit::KIND_MEMORY_HIGH:
      return "memory.high";
    case v1::Limit::KIND_MEMORY_MAX:
      return "memory.max";
    case v1::Limit::KIND_SWAP_MAX:
      return "memory.swap.max";
    case v1::Limit::KIND_PIDS_MAX:
      return "pids.max";
    case v1::Limit::KIND_CPU_MAX:
      return "cpu.max";
    case v1::Limit::KIND_CPU_WEIGHT:
      return "cpu.weight";
    default:
      return "unknown setting";
  }
}

std::string setting_text(const v1::Limit& limit) {
  return limit.has_device()
             ? fmt::format("{} on {}", setting_text(limit.kind()), device_text(limit.device()))
             : setting_text(limit.kind());
}

std::string limit_value_text(v1::Limit::Kind kind, std::optional<std::uint64_t> value) {
  if (!value) {
    return std::string(kUnknown);
  }
  const std::string_view per_second = is_per_device(kind) ? "/s" : "";
  if (is_bytes(kind)) {
    return format_bytes(*value) + std::string(per_second);
  }
  if (kind == v1::Limit::KIND_CPU_MAX) {
    return fmt::format("{:.2f} CPUs", static_cast<double>(*value) / kMicrosecondsPerSecond);
  }
  return fmt::format("{}{}", *value, per_second);
}

Result<std::uint64_t> parse_limit_value(v1::Limit::Kind kind, std::string_view text) {
  const std::string_view whole = text;
  double factor = 1;
  if (!text.empty() && is_bytes(kind)) {
    if (const auto unit = unit_factor(text.back())) {
      factor = *unit;
      text.remove_suffix(1);
    }
  } else if (text.ends_with('%') && kind == v1::Limit::KIND_CPU_MAX) {
    factor = kMicrosecondsPerSecond / 100;
    text.remove_suffix(1);
  }
  if (factor == 1) {  // exact, where no unit asks for a fraction
    if (const auto number = parse_number<std::uint64_t>(text)) {
      return *number;
    }
  } else if (const auto number = decimal(text); number && *number * factor < kLargest) {
    return static_cast<std::uint64_t>(std::llround(*number * factor));
  }
  return fail(Errc::kInvalid,
              fmt::format("'{}' is no value of {}: give {}",
                          safe_text(whole, kMaxShownBytes),
                          limit_kind_name(kind),
                          expected(kind)));
}

Result<Nanoseconds> parse_lease(std::string_view text) {
  const std::string_view whole = text;
  constexpr std::uint32_t kMostOfAUnit = 1'000'000;
  std::optional<Nanoseconds> unit;
  if (text.ends_with('s')) {
    unit = std::chrono::seconds(1);
  } else if (text.ends_with('m')) {
    unit = std::chrono::minutes(1);
  } else if (text.ends_with('h')) {
    unit = std::chrono::hours(1);
  } else if (text.ends_with('d')) {
    unit = std::chrono::hours(24);
  }
  if (unit) {
    text.remove_suffix(1);
    const auto number = parse_number<std::uint32_t>(text);
    // A million hours fit into 64 bits of nanoseconds; a million days do not.
    if (number && *number > 0 && *number <= kMostOfAUnit && to_seconds(*unit) * *number < 9e9) {
      return *unit * *number;
    }
  }
  return fail(Errc::kInvalid,
              fmt::format("--for '{}' is no time: give a number with s, m, h or d, such as 10m",
                          safe_text(whole, kMaxShownBytes)));
}

}  // namespace hvguard::ctl
