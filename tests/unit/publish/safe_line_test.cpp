#include "publish/safe_line.h"

#include <string>

#include <gtest/gtest.h>

namespace hvguard::publish {
namespace {

TEST(SafeLine, KeepsBackslashesAndEscapesTheRest) {
  EXPECT_EQ(safe_line("machine-qemu\\x2d1.scope", 100), "machine-qemu\\x2d1.scope");
  EXPECT_EQ(safe_line("a\nb\\\x1b", 100), "a\\x0ab\\\\x1b");
  EXPECT_EQ(safe_line("", 100), "");
}

TEST(SafeLine, TwiceIsTheSameAndNeverLonger) {
  const std::string raw = "x\\\\y\n\xff\\end \xC2\x9B" + std::string(50, '\\');
  for (std::size_t most = 0; most <= raw.size() + 20; ++most) {
    const std::string once = safe_line(raw, most);
    EXPECT_LE(once.size(), most);
    EXPECT_EQ(once.find('\n'), std::string::npos);
    EXPECT_EQ(safe_line(once, 1000), once);
  }
}

}  // namespace
}  // namespace hvguard::publish
