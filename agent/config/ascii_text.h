// Makes a configuration file pure ASCII before toml++ 3.3 sees it, since its table of blanks has
// undefined behaviour for U+00A1 to U+0499 (is_non_ascii_horizontal_whitespace; found by
// fuzz_config). No key of ours needs more: comments may hold any character and are blanked out, all
// else may use TOML's escapes ("\u00e4"). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace hvguard::config {

struct StrayCharacter {
  std::uint32_t line = 1;
  std::uint32_t column = 1;  // in characters, as toml++ counts
  bool is_control = false;   // a control character, which TOML allows nowhere; else beyond ASCII
};

// The text with the same lines and columns outside of comments, or the first character that may not
// be where it is. A byte order mark at the start is dropped.
[[nodiscard]] tl::expected<std::string, StrayCharacter> to_ascii(std::string_view text);

}  // namespace hvguard::config
