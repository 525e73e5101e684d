// Small parsers over string_view, without allocation; for kernel files and command lines.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>

namespace hvguard {

// The whole text as a number; none for empty, trailing characters or overflow.
template <class T>
[[nodiscard]] std::optional<T> parse_number(std::string_view text, int base = 10) {
  T value{};
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const auto [stop, error] = std::from_chars(begin, end, value, base);
  if (error != std::errc() || stop != end || text.empty()) {
    return std::nullopt;
  }
  return value;
}

// Cuts the first field up to the separator off `rest`; `rest` is what follows the separator.
[[nodiscard]] std::string_view next_field(std::string_view& rest, char separator);
// Cuts the first run of non-blank characters (blank, tab) off `rest`; empty at the end.
[[nodiscard]] std::string_view next_word(std::string_view& rest);
// Without blanks, tabs and line ends at both ends.
[[nodiscard]] std::string_view trimmed(std::string_view text);
// Shell-style match with * and ? over the whole text; linear time.
[[nodiscard]] bool glob_match(std::string_view pattern, std::string_view text);

}  // namespace hvguard
