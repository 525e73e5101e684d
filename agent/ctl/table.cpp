#include "ctl/table.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace hvguard::ctl {
namespace {

constexpr std::string_view kGap = "  ";
constexpr std::size_t kLeastWidth = 8;  // of a column that is cut
constexpr std::size_t kLabelWidth = 11;

std::string_view escape_code(Tone tone) {
  switch (tone) {
    case Tone::kStrong:
      return "\x1b[1m";
    case Tone::kDim:
      return "\x1b[2m";
    case Tone::kGood:
      return "\x1b[32m";
    case Tone::kWarning:
      return "\x1b[33m";
    case Tone::kBad:
      return "\x1b[1;31m";
    case Tone::kPlain:
      break;
  }
  return {};
}

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

}  // namespace

std::string painted(std::string_view text, Tone tone, const Style& style) {
  const std::string_view code = escape_code(tone);
  if (!style.color || code.empty() || text.empty()) {
    return std::string(text);
  }
  return fmt::format("{}{}\x1b[0m", code, text);
}

std::size_t text_width(std::string_view text) {
  return text.size() - static_cast<std::size_t>(std::ranges::count_if(text, is_continuation));
}

std::string cut(std::string_view text, std::size_t width) {
  if (text_width(text) <= width || width == 0) {
    return std::string(text);
  }
  std::size_t end = 0;
  for (std::size_t columns = 0; end < text.size(); ++end) {
    if (!is_continuation(text[end]) && columns++ == width - 1) {
      break;
    }
  }
  return std::string(text.substr(0, end)) + "…";
}

void Table::add(std::vector<Cell> row) {
  row.resize(columns_.size());
  rows_.push_back(std::move(row));
}

std::vector<std::size_t> Table::widths(const Style& style, std::size_t indent) const {
  std::vector<std::size_t> widths;
  std::size_t total = indent;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = text_width(columns_[i].title);
    for (const auto& row : rows_) {
      width = std::max(width, text_width(row[i].text));
    }
    widths.push_back(width);
    total += width + (i == 0 ? 0 : kGap.size());
  }
  // Cut the widest column that may be cut, until it fits.
  while (style.terminal && total > style.width) {
    std::size_t widest = columns_.size();
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (columns_[i].shrinks && widths[i] > kLeastWidth &&
          (widest == columns_.size() || widths[i] > widths[widest])) {
        widest = i;
      }
    }
    if (widest == columns_.size()) {
      break;
    }
    --widths[widest];
    --total;
  }
  return widths;
}

std::string Table::line(const std::vector<Cell>& cells,
                        const std::vector<std::size_t>& widths,
                        const Style& style,
                        std::size_t indent) const {
  std::string out(indent, ' ');
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::string text = cut(cells[i].text, widths[i]);
    const std::string padding(widths[i] - std::min(widths[i], text_width(text)), ' ');
    const bool last = i + 1 == cells.size();
    out += i == 0 ? "" : kGap;
    if (columns_[i].right) {
      out += padding + painted(text, cells[i].tone, style);
    } else {
      out += painted(text, cells[i].tone, style) + (last ? "" : padding);
    }
  }
  out.erase(out.find_last_not_of(' ') + 1);
  return out + "\n";
}

std::string Table::render(const Style& style, std::size_t indent) const {
  const auto all_widths = widths(style, indent);
  std::vector<Cell> header;
  for (const Column& column : columns_) {
    header.push_back({column.title, Tone::kDim});
  }
  std::string out = line(header, all_widths, style, indent);
  for (const auto& row : rows_) {
    out += line(row, all_widths, style, indent);
  }
  return out;
}

namespace {

// Of plain text; a painted one is not wrapped, its codes have no width.
std::size_t last_space_within(std::string_view text, std::size_t width) {
  if (text.find('\033') != std::string_view::npos) {
    return std::string_view::npos;
  }
  std::size_t last = std::string_view::npos;
  for (std::size_t at = text.find(' '); at != std::string_view::npos; at = text.find(' ', at + 1)) {
    if (text_width(text.substr(0, at)) > width) {
      break;
    }
    last = at;
  }
  return last;
}

}  // namespace

std::string labelled(std::string_view label, std::string_view value, const Style& style) {
  std::string out = painted(label, Tone::kDim, style);
  out.append(kLabelWidth - std::min(kLabelWidth, text_width(label)), ' ');
  while (style.terminal && kLabelWidth + text_width(value) > style.width) {
    const std::size_t space = last_space_within(value, style.width - kLabelWidth);
    if (space == std::string_view::npos) {
      break;
    }
    out += std::string(value.substr(0, space)) + "\n" + std::string(kLabelWidth, ' ');
    value.remove_prefix(space + 1);
  }
  return out + std::string(value) + "\n";
}

}  // namespace hvguard::ctl
