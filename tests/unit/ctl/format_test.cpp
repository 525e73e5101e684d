#include "ctl/format.h"

#include <gtest/gtest.h>

#include "ctl/socket_probe.h"

namespace hvguard::ctl {
namespace {

TEST(Printable, EscapesOnceOnly) {
  EXPECT_EQ(printable("plain"), "plain");
  EXPECT_EQ(printable("a\\x1bb\\\\c"), "a\\x1bb\\\\c");
  EXPECT_EQ(printable("a\x1b[1m\r"), "a\\x1b[1m\\x0d");
  EXPECT_EQ(printable("\\"), "\\");
  EXPECT_EQ(printable("ä…"), "ä…");
}

TEST(Text, MissingIsNotZero) {
  EXPECT_EQ(bytes_text(std::nullopt), "-");
  EXPECT_EQ(rate_text(std::nullopt), "-");
  EXPECT_EQ(rate_text(0.0), "0 B/s");
  EXPECT_EQ(count_text(0.0), "0");
  EXPECT_EQ(count_text(0.04), "0.0");
  EXPECT_EQ(count_text(153.2), "153");
  EXPECT_EQ(percent_text(0.1234), "12 %");
  EXPECT_EQ(percent_text(1e9), "100000000000 %");
  EXPECT_EQ(latency_text(std::chrono::microseconds(999)), "999 us");
  EXPECT_EQ(latency_text(std::chrono::microseconds(4100)), "4.1 ms");
  EXPECT_EQ(latency_text(std::chrono::milliseconds(12'400)), "12.4 s");
}

TEST(EnumText, DropsThePrefix) {
  EXPECT_EQ(enum_text("KIND_HUNG_TASK", "KIND_"), "hung_task");
  EXPECT_EQ(enum_text("", "KIND_"), "-");
  EXPECT_EQ(camel_text("IO_PRESSURE"), "IoPressure");
}

TEST(FindGoAway, ReadsTheReasonOrNothing) {
  const std::string settings("\0\0\0\4\0\0\0\0\0", 9);
  const std::string goaway = std::string("\0\0\x0b\7\0\0\0\0\0\0\0\0\0\0\0\0\x0c", 17) + "n\x1bo";
  const auto found = find_goaway(settings + goaway);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->error_code, 0xcU);
  EXPECT_EQ(found->reason, "n\\x1bo");
  EXPECT_FALSE(find_goaway(settings));
  for (std::size_t i = 0; i < goaway.size(); ++i) {
    EXPECT_FALSE(find_goaway(settings + goaway.substr(0, i)));
  }
}

}  // namespace
}  // namespace hvguard::ctl
