// Amounts as people write them in configuration: durations and sizes, both ways. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace hvguard::config {

// "500ms", "10s", "5min", "1h": a number without sign, a unit, nothing else. None for all other
// texts and for what does not fit.
[[nodiscard]] std::optional<Nanoseconds> parse_duration(std::string_view text);
// "16MB", "1GiB", "512KiB", "4096B": bytes in the units of 1000 (kB, MB, GB, TB) or 1024 (KiB, MiB,
// GiB, TiB); as strict.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);

// With the largest unit that divides it, so that parse_… gives it back: durations of whole ms do.
[[nodiscard]] std::string written(Nanoseconds duration);
[[nodiscard]] std::string written_size(std::uint64_t bytes);

}  // namespace hvguard::config
