#include "config/stray_character.h"

#include <cstddef>

namespace hvguard::config {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// The end of the string that begins at `start` with a quote; the text's end if it is never closed.
// One-line strings also end with their line.
std::size_t end_of_string(std::string_view text, std::size_t start) {
  const char quote = text[start];
  const bool has_escapes = quote == '"';
  const bool is_long = text.substr(start, 3) == std::string_view(quote == '"' ? "\"\"\"" : "'''");
  std::size_t i = start + (is_long ? 3 : 1);
  for (; i < text.size(); ++i) {
    if (has_escapes && text[i] == '\\') {
      ++i;
    } else if (!is_long && (text[i] == quote || text[i] == '\n')) {
      return i + 1;
    } else if (is_long && text.substr(i, 3) == text.substr(start, 3)) {
      i += 3;
      while (i < text.size() && text[i] == quote) {  // up to two quotes belong to the text
        ++i;
      }
      return i;
    }
  }
  return text.size();
}

TextPlace place_of(std::string_view text, std::size_t offset) {
  TextPlace place;
  for (const char c : text.substr(0, offset)) {
    if (c == '\n') {
      ++place.line;
      place.column = 1;
    } else if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U) {  // not a continuation byte
      ++place.column;
    }
  }
  return place;
}

}  // namespace

std::optional<TextPlace> find_stray_character(std::string_view text) {
  std::size_t i = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  while (i < text.size()) {
    const char c = text[i];
    if (c == '#') {
      i = text.find('\n', i);
      if (i == std::string_view::npos) {
        return std::nullopt;
      }
    } else if (c == '"' || c == '\'') {
      i = end_of_string(text, i);
    } else if (static_cast<unsigned char>(c) >= 0x80) {
      return place_of(text, i);
    } else {
      ++i;
    }
  }
  return std::nullopt;
}

}  // namespace hvguard::config
