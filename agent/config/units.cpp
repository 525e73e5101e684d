#include "config/units.h"

#include <array>
#include <chrono>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "base/parse.h"

namespace hvguard::config {
namespace {

template <class T>
using Units = std::pair<std::string_view, T>;

// From the largest to the smallest.
constexpr std::array<Units<std::int64_t>, 4> kDurations = {
    {{"h", 3'600'000'000'000}, {"min", 60'000'000'000}, {"s", 1'000'000'000}, {"ms", 1'000'000}}};
constexpr std::array<Units<std::uint64_t>, 9> kSizes = {{{"TiB", std::uint64_t{1} << 40},
                                                         {"TB", 1'000'000'000'000},
                                                         {"GiB", 1 << 30},
                                                         {"GB", 1'000'000'000},
                                                         {"MiB", 1 << 20},
                                                         {"MB", 1'000'000},
                                                         {"KiB", 1 << 10},
                                                         {"kB", 1'000},
                                                         {"B", 1}}};

template <class T, std::size_t N>
std::optional<T> parse(std::string_view text, const std::array<Units<T>, N>& units) {
  const std::size_t unit_start = text.find_first_not_of("0123456789");
  if (unit_start == std::string_view::npos) {
    return std::nullopt;
  }
  const auto count = parse_number<T>(text.substr(0, unit_start));
  for (const auto& [name, factor] : units) {
    if (count && text.substr(unit_start) == name &&
        *count <= std::numeric_limits<T>::max() / factor) {
      return *count * factor;
    }
  }
  return std::nullopt;
}

template <class T, std::size_t N>
std::string written_in(T amount, const std::array<Units<T>, N>& units) {
  for (const auto& [name, factor] : units) {
    if (amount != 0 && amount % factor == 0) {
      return fmt::format("{}{}", amount / factor, name);
    }
  }
  return fmt::format("{}{}", amount / units.back().second, units.back().first);
}

}  // namespace

std::optional<Nanoseconds> parse_duration(std::string_view text) {
  const auto nanoseconds = parse(text, kDurations);
  return nanoseconds ? std::optional(Nanoseconds(*nanoseconds)) : std::nullopt;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  return parse(text, kSizes);
}

std::string written(Nanoseconds duration) {
  // Every unit divides it; people count from seconds.
  return duration == Nanoseconds(0) ? "0s" : written_in(duration.count(), kDurations);
}

std::string written_size(std::uint64_t bytes) {
  return written_in(bytes, kSizes);
}

}  // namespace hvguard::config
