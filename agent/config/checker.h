// Checker: the values of a Draft, checked one key at a time. Each function gives the value to use:
// the default where none is set or it is wrong, and then there is a fault that names the key, its
// place and the remedy. For validate.cpp and validate_policy.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/time.h"
#include "config/draft.h"
#include "model/limit.h"

namespace hvguard::config {

inline constexpr std::size_t kMaxShownBytes = 80;

// How a range's ends and a value out of it are written.
template <class T>
std::string plain_number(T value) {
  return fmt::format("{}", value);
}

// What a shell pattern (* and ?) is to match, for the fault that says what one looks like.
enum class GlobOf { kVm, kUnit, kDevice };
inline constexpr int kMaxGlobs = 256;  // in one list

class Checker {
 public:
  explicit Checker(const Draft& draft) : draft_(draft) {}

  Nanoseconds duration(std::string_view key,
                       bool is_set,
                       const std::string& text,
                       Nanoseconds standard,
                       Nanoseconds least,
                       Nanoseconds most);

  template <class T>
  T number(std::string_view key, bool is_set, T value, T standard, T least, T most) {
    return optional_number(key, is_set, value, least, most).value_or(standard);
  }
  std::uint64_t size(std::string_view key,
                     bool is_set,
                     std::uint64_t value,
                     std::uint64_t standard,
                     std::uint64_t least,
                     std::uint64_t most) {
    return optional_size(key, is_set, value, least, most).value_or(standard);
  }

  // For keys without default: none if it is not set or wrong.
  template <class T>
  std::optional<T> optional_number(
      std::string_view key, bool is_set, T value, T least, T most, std::string_view why = {}) {
    return ranged(key, is_set, value, least, most, plain_number<T>, why);
  }
  // `why` ends the sentence: "out of range: 1GiB to 64TiB, since …".
  std::optional<std::uint64_t> optional_size(std::string_view key,
                                             bool is_set,
                                             std::uint64_t value,
                                             std::uint64_t least,
                                             std::uint64_t most,
                                             std::string_view why = {});
  std::optional<LimitMode> optional_mode(std::string_view key,
                                         bool is_set,
                                         const std::string& text);

  std::vector<std::string> globs(std::string_view key,
                                 const google::protobuf::RepeatedPtrField<std::string>& texts,
                                 GlobOf what);

  void fault(std::string_view key, std::string_view what);
  // Where the key is set; where `other` is set if it is not.
  void fault_of_either(std::string_view key, std::string_view other, std::string_view what);

  [[nodiscard]] bool is_set(std::string_view key) const {
    return draft_.origins.contains(std::string(key));
  }

  std::vector<Fault> take() && { return std::move(faults_); }

 private:
  template <class T>
  std::optional<T> ranged(std::string_view key,
                          bool is_set,
                          T value,
                          T least,
                          T most,
                          std::string (*write)(T),
                          std::string_view why) {
    if (!is_set) {
      return std::nullopt;
    }
    if (!(value >= least && value <= most)) {  // so written that NaN is out of range
      fault(key,
            fmt::format(
                "{} is out of range: {} to {}{}", write(value), write(least), write(most), why));
      return std::nullopt;
    }
    return value;
  }

  [[nodiscard]] Origin origin(std::string_view key) const;

  const Draft& draft_;
  std::vector<Fault> faults_;
};

}  // namespace hvguard::config
