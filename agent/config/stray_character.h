// Finds a character beyond ASCII that stands outside of comments and quotes, where TOML allows
// none. Looked for before toml++ 3.3 sees the text: its table of blanks has undefined behaviour for
// U+00A1 to U+0499 there (is_non_ascii_horizontal_whitespace; found by fuzz_config). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace hvguard::config {

struct TextPlace {
  std::uint32_t line = 1;
  std::uint32_t column = 1;  // in characters, as toml++ counts
};

[[nodiscard]] std::optional<TextPlace> find_stray_character(std::string_view text);

}  // namespace hvguard::config
