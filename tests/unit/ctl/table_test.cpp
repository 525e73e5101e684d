#include "ctl/table.h"

#include <gtest/gtest.h>

namespace hvguard::ctl {
namespace {

TEST(Table, AlignsByColumnsNotBytes) {
  Table table({{"NAME"}, {"N", true}});
  table.add({{"ä"}, {"1"}});
  table.add({{"bbb"}, {"22"}});
  EXPECT_EQ(table.render({}),
            "NAME   N\n"
            "ä      1\n"
            "bbb   22\n");
}

TEST(Table, CutsOnlyWhatMayBeCut) {
  Table table({{"A", false, true}, {"B"}});
  table.add({{std::string(40, 'a')}, {std::string(20, 'b')}});
  Style style;
  style.terminal = true;
  style.width = 40;
  EXPECT_EQ(table.render(style),
            "A                   B\n" + std::string(17, 'a') + "…  " + std::string(20, 'b') + "\n");
}

TEST(Labelled, WrapsOnATerminalAndOnlyThere) {
  Style style;
  style.width = 24;
  EXPECT_EQ(labelled("sources", "aaaa, bbbb, cccc, dd", style),
            "sources    aaaa, bbbb, cccc, dd\n");
  style.terminal = true;
  EXPECT_EQ(labelled("sources", "aaaa, bbbb, cccc, dd", style),
            "sources    aaaa, bbbb,\n           cccc, dd\n");
  const std::string word(30, 'x');
  EXPECT_EQ(labelled("sources", word, style), "sources    " + word + "\n");
}

TEST(Painted, OnlyWithColor) {
  Style style;
  EXPECT_EQ(painted("x", Tone::kBad, style), "x");
  style.color = true;
  EXPECT_EQ(painted("x", Tone::kBad, style), "\x1b[1;31mx\x1b[0m");
  EXPECT_EQ(painted("x", Tone::kPlain, style), "x");
}

TEST(Cut, KeepsWholeCharacters) {
  EXPECT_EQ(cut("äöü", 2), "ä…");
  EXPECT_EQ(cut("äöü", 3), "äöü");
}

}  // namespace
}  // namespace hvguard::ctl
