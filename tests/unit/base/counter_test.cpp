#include "base/counter.h"

#include <limits>

#include <gtest/gtest.h>

namespace hvguard {
namespace {

TEST(Counter, GrowthIsTheDifference) {
  EXPECT_EQ(delta(Counter{5}, Counter{12}), 7U);
  EXPECT_EQ(delta(Counter{5}, Counter{5}), 0U);
  const auto max = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(delta(Counter{0}, Counter{max}), max);
}

TEST(Counter, ResetOrMissingReadingGivesNothing) {
  EXPECT_FALSE(delta(Counter{12}, Counter{5}).has_value());
  EXPECT_FALSE(delta(std::nullopt, Counter{5}).has_value());
  EXPECT_FALSE(delta(Counter{5}, std::nullopt).has_value());
}

TEST(Counter, RateNeedsTimeToHavePassed) {
  EXPECT_DOUBLE_EQ(rate(Counter{10}, Counter{40}, 2.0).value_or(-1), 15.0);
  EXPECT_FALSE(rate(Counter{10}, Counter{40}, 0.0).has_value());
  EXPECT_FALSE(rate(Counter{10}, Counter{40}, -1.0).has_value());
  EXPECT_FALSE(
      rate(Counter{10}, Counter{40}, std::numeric_limits<double>::quiet_NaN()).has_value());
  EXPECT_FALSE(rate(Counter{40}, Counter{10}, 1.0).has_value());
}

}  // namespace
}  // namespace hvguard
