// Tables and paint for people. Pure: what the terminal is like comes in as Style.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace hvguard::ctl {

// How to write: decided once by main.cpp, fixed in tests.
struct Style {
  bool terminal = false;  // only then is anything cut
  bool color = false;
  std::size_t width = 100;  // columns
  WallTime now;
};

enum class Tone { kPlain, kStrong, kDim, kGood, kWarning, kBad };

[[nodiscard]] std::string painted(std::string_view text, Tone tone, const Style& style);
// Columns that a text takes: one per code point; wide characters are left out of account.
[[nodiscard]] std::size_t text_width(std::string_view text);
// At most `width` columns, ending in "…" if cut.
[[nodiscard]] std::string cut(std::string_view text, std::size_t width);

struct Column {
  std::string title;
  bool right = false;    // numbers
  bool shrinks = false;  // may be cut to make the table fit a terminal
};

struct Cell {
  std::string text;  // printable
  Tone tone = Tone::kPlain;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // As many cells as columns.
  void add(std::vector<Cell> row);
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  // Lines, each ended; a header first. indent: blanks before each line.
  [[nodiscard]] std::string render(const Style& style, std::size_t indent = 0) const;

 private:
  [[nodiscard]] std::vector<std::size_t> widths(const Style& style, std::size_t indent) const;
  [[nodiscard]] std::string line(const std::vector<Cell>& cells,
                                 const std::vector<std::size_t>& widths,
                                 const Style& style,
                                 std::size_t indent) const;

  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// "label     value" pages: labels padded to one width, long values wrapped on a terminal.
[[nodiscard]] std::string labelled(std::string_view label,
                                   std::string_view value,
                                   const Style& style);

}  // namespace hvguard::ctl
