// Counter: a number that only grows until its owner resets it. All "current minus previous" in the
// project goes through delta(), so that a reset or a missing reading never becomes a huge rate.
#pragma once

#include <cstdint>
#include <optional>

namespace hvguard {

struct Counter {
  std::uint64_t value = 0;

  bool operator==(const Counter&) const = default;
};

// Growth from previous to current. None if either is missing or the counter went back (a reset).
[[nodiscard]] constexpr std::optional<std::uint64_t> delta(std::optional<Counter> previous,
                                                           std::optional<Counter> current) {
  if (!previous || !current || current->value < previous->value) {
    return std::nullopt;
  }
  return current->value - previous->value;
}

// Growth per second over a span; none if delta() is none or the span is not positive.
[[nodiscard]] constexpr std::optional<double> rate(std::optional<Counter> previous,
                                                   std::optional<Counter> current,
                                                   double span_seconds) {
  const auto grown = delta(previous, current);
  if (!grown || !(span_seconds > 0)) {
    return std::nullopt;
  }
  return static_cast<double>(*grown) / span_seconds;
}

}  // namespace hvguard
