#include "base/text.h"

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace hvguard {
namespace {

TEST(SafeText, LeavesPlainTextAlone) {
  EXPECT_EQ(safe_text("CPU 0/KVM (1)", 64), "CPU 0/KVM (1)");
  EXPECT_EQ(safe_text("größe 猫 😀", 64), "größe 猫 😀");
  EXPECT_EQ(safe_text("", 64), "");
}

TEST(SafeText, TakesTheTeethOutOfControlCharacters) {
  EXPECT_EQ(safe_text("a\nb\tc\r", 64), "a\\x0ab\\x09c\\x0d");
  EXPECT_EQ(safe_text("\x1b[31mred\x1b]0;title\x07", 64), "\\x1b[31mred\\x1b]0;title\\x07");
  EXPECT_EQ(safe_text(std::string_view("\0x", 2), 64), "\\x00x");
  EXPECT_EQ(safe_text("\x7f", 64), "\\x7f");
  EXPECT_EQ(safe_text("\xc2\x9b"
                      "31m",
                      64),
            "\\xc2\\x9b31m");  // C1: CSI in one character
}

TEST(SafeText, TakesTheTeethOutOfBidirectionalOverrides) {
  EXPECT_EQ(safe_text("a\xe2\x80\xae"
                      "b",
                      64),
            "a\\xe2\\x80\\xaeb");                               // U+202E
  EXPECT_EQ(safe_text("\xe2\x81\xa6", 64), "\\xe2\\x81\\xa6");  // U+2066
  EXPECT_EQ(safe_text("\xe2\x80\x8f", 64), "\\xe2\\x80\\x8f");  // U+200F
  EXPECT_EQ(safe_text("\xe2\x80\xa8", 64), "\\xe2\\x80\\xa8");  // U+2028 line separator
}

TEST(SafeText, EscapesWhatIsNoUtf8) {
  EXPECT_EQ(safe_text("\xff\xfe", 64), "\\xff\\xfe");
  EXPECT_EQ(safe_text("\xc0\xaf", 64), "\\xc0\\xaf");           // overlong "/"
  EXPECT_EQ(safe_text("\xe0\x80\xaf", 64), "\\xe0\\x80\\xaf");  // overlong again
  EXPECT_EQ(safe_text("\xf0\x80\x80\xaf", 64), "\\xf0\\x80\\x80\\xaf");
  EXPECT_EQ(safe_text("\xed\xa0\x80", 64), "\\xed\\xa0\\x80");           // surrogate
  EXPECT_EQ(safe_text("\xf4\x90\x80\x80", 64), "\\xf4\\x90\\x80\\x80");  // above U+10FFFF
  EXPECT_EQ(safe_text("\xe2\x82", 64), "\\xe2\\x82");                    // cut short
}

TEST(SafeText, NobodyCanForgeAnEscape) {
  EXPECT_EQ(safe_text("\\x1b", 64), "\\\\x1b");
  EXPECT_NE(safe_text("\\x0a", 64), safe_text("\n", 64));
}

TEST(SafeText, CutsWithAMarkAndNeverInsideACharacter) {
  EXPECT_EQ(safe_text("abcdefgh", 8), "abcdefgh");
  EXPECT_EQ(safe_text("abcdefghi", 8), "abcde…");
  EXPECT_EQ(safe_text("猫猫猫", 8), "猫…");
  EXPECT_EQ(safe_text("abc", 0), "");
  EXPECT_LE(safe_text("abc", 2).size(), 2U);
  EXPECT_LE(safe_text(std::string(16'384, '\n'), 100).size(), 100U);
}

// What protobuf demands of a string field.
bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if ((lead >= 0x80 && lead < 0xC2) || lead > 0xF4 || i + length > text.size()) {
      return false;
    }
    for (std::size_t j = 1; j < length; ++j) {
      if ((static_cast<unsigned char>(text[i + j]) & 0xC0) != 0x80) {
        return false;
      }
    }
    i += length;
  }
  return true;
}

// Runs of plain text are taken at once; the cut falls where it would fall character by character.
TEST(SafeText, EveryBoundCutsPlainTextAtTheSamePlace) {
  const std::string plain(40, 'a');
  for (std::size_t bound = 0; bound < 60; ++bound) {
    const std::string whole = plain + "\n" + plain;
    std::string expected;
    if (bound < 3) {
      expected = "";
    } else if (bound < 43) {
      expected = plain.substr(0, bound - 3) + "…";
    } else if (bound < 47) {
      expected = plain + "…";
    } else {
      expected = plain + "\\x0a" + plain.substr(0, bound - 47) + "…";
    }
    EXPECT_EQ(safe_text(whole, bound), expected) << bound;
  }
  EXPECT_EQ(safe_text(plain, 40), plain);
  EXPECT_EQ(safe_text(plain, 39), plain.substr(0, 36) + "…");
}

TEST(SafeText, AnyBytesGiveBoundedPrintableUtf8) {
  std::mt19937 random(1);  // NOLINT: the same bytes in every run
  for (int round = 0; round < 2000; ++round) {
    std::string raw(random() % 40, '\0');
    for (char& c : raw) {
      c = static_cast<char>(random());
    }
    const std::size_t bound = random() % 50;
    const std::string safe = safe_text(raw, bound);
    EXPECT_LE(safe.size(), bound);
    EXPECT_TRUE(is_utf8(safe));
    for (const char c : safe) {
      EXPECT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7F);
    }
  }
}

TEST(FormatBytes, ReadsWell) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(512 * 1024), "512 KiB");
  EXPECT_EQ(format_bytes(1536ULL << 20), "1.5 GiB");
  EXPECT_EQ(format_bytes(UINT64_MAX), "16 EiB");
}

TEST(EditDistance, CountsSingleEdits) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("interval", "interval"), 0U);
  EXPECT_EQ(edit_distance("interval", "intervall"), 1U);
  EXPECT_EQ(edit_distance("interval", "inetrval"), 1U);  // neighbours swapped
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("ab", "ba"), edit_distance("ba", "ab"));
}

TEST(Nearest, SuggestsOnlyWhatIsNear) {
  const std::vector<std::string> keys = {"open_after", "critical_after", "interval"};
  EXPECT_EQ(nearest("intervall", keys), "interval");
  EXPECT_EQ(nearest("open_aftre", keys), "open_after");
  EXPECT_EQ(nearest("colour", keys), "");
  EXPECT_EQ(nearest("x", std::vector<std::string>{}), "");
}

}  // namespace
}  // namespace hvguard
