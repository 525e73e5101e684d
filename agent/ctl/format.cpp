#include "ctl/format.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <ctime>
#include <limits>

#include <fmt/format.h>

#include "base/parse.h"
#include "base/text.h"

namespace hvguard::ctl {
namespace {

std::string local_time(const google::protobuf::Timestamp& time, const char* format) {
  const auto seconds = static_cast<std::time_t>(time.seconds());
  std::tm parts{};
  if (::localtime_r(&seconds, &parts) == nullptr) {
    return std::string(kUnknown);
  }
  std::string text(64, '\0');
  text.resize(std::strftime(text.data(), text.size(), format, &parts));
  return text;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  for (bool first = true; first || !text.empty(); first = false) {
    const auto slash = text.find('\\');
    out += safe_text(text.substr(0, slash), std::numeric_limits<std::size_t>::max());
    if (slash == std::string_view::npos) {
      break;
    }
    out += '\\';
    text.remove_prefix(slash + 1);
  }
  return out;
}

std::string bytes_text(std::optional<std::uint64_t> bytes) {
  return bytes ? format_bytes(*bytes) : std::string(kUnknown);
}

std::string rate_text(std::optional<double> bytes_per_second) {
  if (!bytes_per_second || !std::isfinite(*bytes_per_second) || *bytes_per_second < 0) {
    return std::string(kUnknown);
  }
  const double bounded = std::min(std::round(*bytes_per_second), 1e18);
  return format_bytes(static_cast<std::uint64_t>(bounded)) + "/s";
}

std::string count_text(std::optional<double> count) {
  if (!count || !std::isfinite(*count)) {
    return std::string(kUnknown);
  }
  return *count > 0 && *count < 9.95 ? fmt::format("{:.1f}", *count)
                                     : fmt::format("{:.0f}", *count);
}

std::string percent_text(std::optional<double> ratio) {
  if (!ratio || !std::isfinite(*ratio)) {
    return std::string(kUnknown);
  }
  const double percent = *ratio * 100;
  return percent > 0 && percent < 9.95 ? fmt::format("{:.1f} %", percent)
                                       : fmt::format("{:.0f} %", percent);
}

std::string latency_text(std::optional<Nanoseconds> latency) {
  if (!latency) {
    return std::string(kUnknown);
  }
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(*latency).count();
  if (us < 1000) {
    return fmt::format("{} us", us);
  }
  if (us < 10'000) {
    return fmt::format("{}.{} ms", us / 1000, us % 1000 / 100);
  }
  return format_duration(*latency);
}

Nanoseconds nanoseconds(const google::protobuf::Duration& duration) {
  return std::chrono::seconds(duration.seconds()) + Nanoseconds(duration.nanos());
}

WallTime wall_time(const google::protobuf::Timestamp& time) {
  return {std::chrono::seconds(time.seconds()) + Nanoseconds(time.nanos())};
}

std::string time_text(const google::protobuf::Timestamp& time) {
  return local_time(time, "%Y-%m-%d %H:%M:%S %Z");
}

std::string clock_text(const google::protobuf::Timestamp& time) {
  return local_time(time, "%H:%M:%S");
}

std::string age_text(const google::protobuf::Timestamp& time, WallTime now) {
  return format_duration(std::max(now.since_epoch - wall_time(time).since_epoch, Nanoseconds(0)));
}

std::optional<double> sum(std::optional<double> a, std::optional<double> b) {
  if (!a && !b) {
    return std::nullopt;
  }
  return a.value_or(0) + b.value_or(0);
}

std::optional<Nanoseconds> worst_p99(const v1::VmDeviceIo& io) {
  std::optional<Nanoseconds> worst;
  for (const auto* latency : {&io.read_latency(), &io.write_latency()}) {
    if (latency->has_p99_duration()) {
      worst = std::max(worst.value_or(Nanoseconds(0)), nanoseconds(latency->p99_duration()));
    }
  }
  return worst;
}

std::string device_text(const v1::Device& device) {
  const std::string number = fmt::format("{}:{}", device.major(), device.minor());
  return device.name().empty() ? number : fmt::format("{} {}", number, printable(device.name()));
}

std::string enum_text(std::string_view name, std::string_view prefix) {
  if (name.starts_with(prefix)) {
    name.remove_prefix(prefix.size());
  }
  std::string out(name);
  std::ranges::transform(
      out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out.empty() || out == "unspecified" ? std::string(kUnknown) : out;
}

std::string camel_text(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    const std::string word = enum_text(next_field(name, '_'), "");
    out += static_cast<char>(std::toupper(static_cast<unsigned char>(word[0])));
    out += word.substr(1);
  }
  return out;
}

}  // namespace hvguard::ctl
