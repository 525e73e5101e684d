#include "base/text.h"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>

namespace hvguard {
namespace {

// Length of the well-formed UTF-8 sequence at the start (Unicode 15, table 3-7), 0 if there is
// none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) {
    return 1;
  }
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) {
    return 0;
  }
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) {
      return 0;
    }
  }
  const unsigned char second = byte(1);
  const bool bad = (lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
                   (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F);
  return bad ? 0 : length;
}

// Characters that steer a terminal or reorder text: C0, DEL, C1, and bidirectional controls.
bool is_steering(std::string_view sequence) {
  if (sequence.size() == 1) {
    const auto c = static_cast<unsigned char>(sequence[0]);
    return c < 0x20 || c == 0x7F;
  }
  const bool c1 = sequence[0] == '\xC2' && static_cast<unsigned char>(sequence[1]) < 0xA0;
  const bool line_or_bidi = sequence >= "\xE2\x80\xA8" && sequence <= "\xE2\x80\xAE";
  const bool isolate = sequence >= "\xE2\x81\xA6" && sequence <= "\xE2\x81\xA9";
  const bool mark = sequence == "\xE2\x80\x8E" || sequence == "\xE2\x80\x8F";
  return c1 || line_or_bidi || isolate || mark;
}

// Length of the printable ASCII at the start that stands for itself.
std::size_t plain_length(std::string_view text) {
  const auto* const end = std::find_if(
      text.begin(), text.end(), [](char c) { return c < 0x20 || c > 0x7E || c == '\\'; });
  return static_cast<std::size_t>(end - text.begin());
}

std::string escaped(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace

std::string safe_text(std::string_view raw, std::size_t max_bytes) {
  static constexpr std::string_view kCut = "…";
  std::string out;
  std::size_t last_fit = 0;  // end of the last piece after which the cut mark still fits
  while (!raw.empty()) {
    const std::size_t taken = out.size() + kCut.size();
    const std::size_t room = max_bytes - std::min(max_bytes, taken);
    if (const std::size_t plain = plain_length(raw.substr(0, room)); plain > 0) {
      out += raw.substr(0, plain);
      raw.remove_prefix(plain);
      last_fit = out.size();
      continue;
    }
    std::size_t length = utf8_length(raw);
    std::string piece;
    if (length == 0) {
      length = 1;
      piece = escaped(raw.substr(0, 1));
    } else if (raw[0] == '\\') {
      piece = "\\\\";
    } else if (is_steering(raw.substr(0, length))) {
      piece = escaped(raw.substr(0, length));
    } else {
      piece = raw.substr(0, length);
    }
    if (out.size() + piece.size() > max_bytes) {
      out.resize(last_fit);
      if (max_bytes >= kCut.size()) {
        out += kCut;
      }
      return out;
    }
    out += piece;
    raw.remove_prefix(length);
    if (out.size() + kCut.size() <= max_bytes) {
      last_fit = out.size();
    }
  }
  return out;
}

std::string format_bytes(std::uint64_t bytes) {
  static constexpr std::array<std::string_view, 7> kUnits = {
      "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t unit = 0;
  auto value = static_cast<double>(bytes);
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  if (unit == 0 || value >= 100 || value == static_cast<double>(static_cast<int>(value))) {
    return fmt::format("{:.0f} {}", value, kUnits[unit]);
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> two_back(b.size() + 1);
  std::vector<std::size_t> previous(b.size() + 1);
  std::vector<std::size_t> current(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) {
    previous[j] = j;
  }
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      current[j] = std::min({previous[j] + 1, current[j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        current[j] = std::min(current[j], two_back[j - 2] + 1);
      }
    }
    two_back.swap(previous);
    previous.swap(current);
  }
  return previous[b.size()];
}

}  // namespace hvguard
