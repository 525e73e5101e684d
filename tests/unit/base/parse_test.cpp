#include "base/parse.h"

#include <cstdint>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace hvguard {
namespace {

TEST(ParseNumber, TakesOnlyWholeNumbers) {
  EXPECT_EQ(parse_number<std::uint64_t>("42"), 42U);
  EXPECT_EQ(parse_number<std::int32_t>("-7"), -7);
  EXPECT_EQ(parse_number<std::uint32_t>("ff", 16), 255U);
  EXPECT_EQ(parse_number<std::uint64_t>("18446744073709551615"), UINT64_MAX);
}

TEST(ParseNumber, RefusesTheRest) {
  for (const std::string_view text : {"", " 1", "1 ", "1x", "+1", "0x10", "-", "1.5"}) {
    EXPECT_FALSE(parse_number<std::uint64_t>(text).has_value()) << text;
  }
  EXPECT_FALSE(parse_number<std::uint64_t>("18446744073709551616").has_value());
  EXPECT_FALSE(parse_number<std::uint64_t>("-1").has_value());
  EXPECT_FALSE(parse_number<std::int8_t>("128").has_value());
  EXPECT_FALSE(parse_number<int>(std::string_view("1\0", 2)).has_value());
}

TEST(NextField, CutsAtEachSeparator) {
  std::string_view rest = "a::b";
  EXPECT_EQ(next_field(rest, ':'), "a");
  EXPECT_EQ(next_field(rest, ':'), "");
  EXPECT_EQ(next_field(rest, ':'), "b");
  EXPECT_EQ(rest, "");
  EXPECT_EQ(next_field(rest, ':'), "");
}

TEST(NextWord, SkipsRunsOfBlanks) {
  std::string_view rest = " \t one\ttwo  ";
  EXPECT_EQ(next_word(rest), "one");
  EXPECT_EQ(next_word(rest), "two");
  EXPECT_EQ(next_word(rest), "");
  EXPECT_EQ(next_word(rest), "");
  std::string_view line_end = "kB\n";
  EXPECT_EQ(next_word(line_end), "kB\n");  // a line end is no blank
}

TEST(Trimmed, TakesLineEndsToo) {
  EXPECT_EQ(trimmed(" \r\n\tx y\n"), "x y");
  EXPECT_EQ(trimmed(" \n"), "");
  EXPECT_EQ(trimmed(""), "");
}

TEST(GlobMatch, KnowsStarAndQuestionMark) {
  EXPECT_TRUE(glob_match("qemu-system-*", "qemu-system-x86_64"));
  EXPECT_TRUE(glob_match("*", ""));
  EXPECT_TRUE(glob_match("**a**", "a"));
  EXPECT_TRUE(glob_match("k?m", "kvm"));
  EXPECT_TRUE(glob_match("*ab*ab", "abxab"));
  EXPECT_TRUE(glob_match("", ""));
  EXPECT_FALSE(glob_match("", "a"));
  EXPECT_FALSE(glob_match("?", ""));
  EXPECT_FALSE(glob_match("kvm", "kvm2"));
  EXPECT_FALSE(glob_match("kvm", "akvm"));
  EXPECT_FALSE(glob_match("qemu-system-*", "qemu-syste"));
}

TEST(GlobMatch, StaysQuickOnHostileInput) {
  std::string pattern;
  for (int i = 0; i < 1000; ++i) {
    pattern += "a*";
  }
  pattern += "b";
  // Backtracking over every star would take longer than the universe has.
  EXPECT_FALSE(glob_match(pattern, std::string(10'000, 'a')));
}

}  // namespace
}  // namespace hvguard
