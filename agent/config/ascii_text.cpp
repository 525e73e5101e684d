#include "config/ascii_text.h"

#include <algorithm>
#include <cstddef>

namespace hvguard::config {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool is_ascii(char c) {
  return static_cast<unsigned char>(c) < 0x80;
}

bool is_stray_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7F;
}

// The end of the string that begins at `start` with a quote; the text's end if it is never closed.
// One-line strings also end with their line.
std::size_t end_of_string(std::string_view text, std::size_t start) {
  const char quote = text[start];
  const bool has_escapes = quote == '"';
  const std::string_view fence = text.substr(start, 3);
  const bool is_long = fence == (quote == '"' ? "\"\"\"" : "'''");
  for (std::size_t i = start + (is_long ? 3 : 1); i < text.size(); ++i) {
    if (has_escapes && text[i] == '\\') {
      ++i;
    } else if (!is_long && (text[i] == quote || text[i] == '\n')) {
      return i + 1;
    } else if (is_long && text.substr(i, 3) == fence) {
      const std::size_t end = text.find_first_not_of(quote, i);  // up to two belong to the text
      return std::min(end, text.size());
    }
  }
  return text.size();
}

StrayCharacter stray_at(std::string_view text, std::size_t offset) {
  StrayCharacter stray;
  stray.is_control = is_ascii(text[offset]);
  for (const char c : text.substr(0, offset)) {
    if (c == '\n') {
      ++stray.line;
      stray.column = 1;
    } else if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U) {  // not a continuation byte
      ++stray.column;
    }
  }
  return stray;
}

}  // namespace

tl::expected<std::string, StrayCharacter> to_ascii(std::string_view text) {
  if (text.starts_with(kByteOrderMark)) {
    text.remove_prefix(kByteOrderMark.size());
  }
  const auto* const control = std::find_if(text.begin(), text.end(), is_stray_control);
  if (control != text.end()) {
    return tl::unexpected(stray_at(text, static_cast<std::size_t>(control - text.begin())));
  }
  std::string out(text);
  std::size_t i = 0;
  while (i < text.size()) {
    const bool is_comment = text[i] == '#';
    const bool is_string = text[i] == '"' || text[i] == '\'';
    const std::size_t end = is_comment  ? std::min(text.find('\n', i), text.size())
                            : is_string ? std::min(end_of_string(text, i), text.size())
                                        : i + 1;
    for (; i < end; ++i) {
      if (!is_ascii(text[i]) && !is_comment) {
        return tl::unexpected(stray_at(text, i));
      }
      out[i] = is_ascii(text[i]) ? text[i] : '?';
    }
  }
  return out;
}

}  // namespace hvguard::config
