// Limits as people write and read them: kinds, values with units, leases. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "hvguard/v1/limit.pb.h"

namespace hvguard::ctl {

// "read_bytes": what `limit set` takes.
[[nodiscard]] std::string limit_kind_name(v1::Limit::Kind kind);
[[nodiscard]] std::vector<std::string> limit_kind_names();
[[nodiscard]] v1::Limit::Kind limit_kind_of(std::string_view name);  // unspecified if there is none
[[nodiscard]] bool is_per_device(v1::Limit::Kind kind);

// "io.max rbps": as in the kernel's files.
[[nodiscard]] std::string setting_text(v1::Limit::Kind kind);
// "io.max rbps on 8:0 sda"
[[nodiscard]] std::string setting_text(const v1::Limit& limit);
// "40 MiB/s", "200/s", "2.0 GiB", "0.50 CPUs", "500"; "-" if there is none.
[[nodiscard]] std::string limit_value_text(v1::Limit::Kind kind,
                                           std::optional<std::uint64_t> value);

// "40M", "1.5G" (of 1024), "200", and "50%" of one CPU for cpu_max. kInvalid says what is expected.
Result<std::uint64_t> parse_limit_value(v1::Limit::Kind kind, std::string_view text);
// "90s", "10m", "2h", "1d".
Result<Nanoseconds> parse_lease(std::string_view text);

}  // namespace hvguard::ctl
