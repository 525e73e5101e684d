// Values of the API as text for people. Pure. "-" is a value that is not known: never zero.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include "base/time.h"
#include "hvguard/v1/io.pb.h"

namespace hvguard::ctl {

inline constexpr std::string_view kUnknown = "-";

// Safe for a terminal. hvguardd has escaped already, and escaped backslashes too; so ours are kept
// as they are, and only what could still harm is escaped.
[[nodiscard]] std::string printable(std::string_view text);

[[nodiscard]] std::string bytes_text(std::optional<std::uint64_t> bytes);
[[nodiscard]] std::string rate_text(std::optional<double> bytes_per_second);  // "1.5 MiB/s"
[[nodiscard]] std::string count_text(std::optional<double> count);            // "0.4", "153"
[[nodiscard]] std::string percent_text(std::optional<double> ratio);          // "12 %"
// Short times too: "256 us", "4.1 ms", "12.4 s".
[[nodiscard]] std::string latency_text(std::optional<Nanoseconds> latency);

[[nodiscard]] Nanoseconds nanoseconds(const google::protobuf::Duration& duration);
[[nodiscard]] WallTime wall_time(const google::protobuf::Timestamp& time);
// "2026-11-21 07:31:04 UTC", in the local time zone.
[[nodiscard]] std::string time_text(const google::protobuf::Timestamp& time);
// "07:31:04"
[[nodiscard]] std::string clock_text(const google::protobuf::Timestamp& time);
// "3 min 20 s": from then to now; "0 ms" if then is ahead.
[[nodiscard]] std::string age_text(const google::protobuf::Timestamp& time, WallTime now);

// Both directions together; none if neither is known.
[[nodiscard]] std::optional<double> sum(std::optional<double> a, std::optional<double> b);
// The 99th percentile of reads or writes, whichever is longer; none if neither is known.
[[nodiscard]] std::optional<Nanoseconds> worst_p99(const v1::VmDeviceIo& io);
// "259:0 nvme0n1"
[[nodiscard]] std::string device_text(const v1::Device& device);

// "KIND_HUNG_TASK" → "hung_task": a proto enumerator's name without its prefix, in small letters.
[[nodiscard]] std::string enum_text(std::string_view name, std::string_view prefix);
// "IO_PRESSURE" → "IoPressure"
[[nodiscard]] std::string camel_text(std::string_view name);

// The value of an optional proto field.
template <class Message, class Value>
[[nodiscard]] auto optional_of(const Message& message,
                               bool (Message::*has)() const,
                               Value (Message::*get)() const) {
  return (message.*has)() ? std::optional<Value>((message.*get)()) : std::nullopt;
}

}  // namespace hvguard::ctl
