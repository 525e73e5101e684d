#include "config/units.h"

#include <gtest/gtest.h>

namespace hvguard::config {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Duration, TakesWholeNumbersWithAUnitOnly) {
  EXPECT_EQ(parse_duration("0s"), Nanoseconds(0));
  EXPECT_EQ(parse_duration("250ms"), milliseconds(250));
  EXPECT_EQ(parse_duration("5min"), std::chrono::minutes(5));
  EXPECT_EQ(parse_duration("2h"), std::chrono::hours(2));
  for (const char* const wrong : {"",
                                  "s",
                                  "5",
                                  "-1s",
                                  "+1s",
                                  "1.5s",
                                  "1 s",
                                  "1S",
                                  "1d",
                                  "1ss",
                                  "99999999999999999999s",
                                  "9999999999999h",
                                  "1s\n"}) {
    EXPECT_FALSE(parse_duration(wrong)) << wrong;
  }
}

TEST(Duration, IsWrittenWithTheLargestUnitThatDividesIt) {
  EXPECT_EQ(written(seconds(0)), "0s");
  EXPECT_EQ(written(milliseconds(1500)), "1500ms");
  EXPECT_EQ(written(seconds(90)), "90s");
  EXPECT_EQ(written(seconds(600)), "10min");
  EXPECT_EQ(written(hours(168)), "168h");
}

TEST(Size, TakesWholeNumbersWithAUnitOnly) {
  EXPECT_EQ(parse_size("0B"), 0U);
  EXPECT_EQ(parse_size("4kB"), 4000U);
  EXPECT_EQ(parse_size("4KiB"), 4096U);
  EXPECT_EQ(parse_size("16MB"), 16'000'000U);
  EXPECT_EQ(parse_size("16MiB"), 16U << 20);
  EXPECT_EQ(parse_size("2GB"), 2'000'000'000U);
  EXPECT_EQ(parse_size("2GiB"), std::uint64_t{2} << 30);
  EXPECT_EQ(parse_size("3TB"), 3'000'000'000'000U);
  EXPECT_EQ(parse_size("16777215TiB"), std::uint64_t{16777215} << 40);
  for (const char* const wrong : {"",
                                  "B",
                                  "16",
                                  "-1B",
                                  "+1B",
                                  "1.5GiB",
                                  "1 GiB",
                                  "1gib",
                                  "1G",
                                  "1Gib",
                                  "1mb",
                                  "16MB/s",
                                  "1BB",
                                  "16777216TiB",
                                  "99999999999999999999B",
                                  "1B\n"}) {
    EXPECT_FALSE(parse_size(wrong)) << wrong;
  }
}

TEST(Size, IsWrittenSoThatItReadsBack) {
  EXPECT_EQ(written_size(0), "0B");
  EXPECT_EQ(written_size(4095), "4095B");
  EXPECT_EQ(written_size(16'000'000), "16MB");
  EXPECT_EQ(written_size(std::uint64_t{1} << 30), "1GiB");
  EXPECT_EQ(written_size(std::uint64_t{1536} << 20), "1536MiB");
  for (const std::uint64_t bytes : {std::uint64_t{0},
                                    std::uint64_t{1},
                                    std::uint64_t{1000},
                                    std::uint64_t{1024},
                                    std::uint64_t{1'024'000},
                                    std::uint64_t{123'456'789},
                                    ~std::uint64_t{0},
                                    std::uint64_t{5} << 40,
                                    std::uint64_t{5'000'000'000'000}}) {
    EXPECT_EQ(parse_size(written_size(bytes)), bytes) << written_size(bytes);
  }
}

}  // namespace
}  // namespace hvguard::config
