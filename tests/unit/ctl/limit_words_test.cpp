#include "ctl/limit_words.h"

#include <gtest/gtest.h>

namespace hvguard::ctl {
namespace {

constexpr auto kReads = v1::Limit::KIND_READ_BYTES;
constexpr auto kPids = v1::Limit::KIND_PIDS_MAX;
constexpr auto kCpu = v1::Limit::KIND_CPU_MAX;

TEST(LimitWords, EveryKindHasAName) {
  EXPECT_EQ(limit_kind_names().size(), 12U);
  for (const std::string& name : limit_kind_names()) {
    EXPECT_EQ(limit_kind_name(limit_kind_of(name)), name);
    EXPECT_NE(setting_text(limit_kind_of(name)), "unknown setting") << name;
  }
  EXPECT_EQ(limit_kind_of("rbps"), v1::Limit::KIND_UNSPECIFIED);
}

TEST(LimitWords, ValuesAreReadWithTheirUnits) {
  EXPECT_EQ(parse_limit_value(kReads, "40M").value(), std::uint64_t{40} << 20);
  EXPECT_EQ(parse_limit_value(kReads, "1.5G").value(), std::uint64_t{3} << 29);
  EXPECT_EQ(parse_limit_value(kReads, "18446744073709551615").value(), ~std::uint64_t{0});
  EXPECT_EQ(parse_limit_value(kPids, "500").value(), 500U);
  EXPECT_EQ(parse_limit_value(kCpu, "50%").value(), 500'000U);
  EXPECT_EQ(parse_limit_value(kCpu, "250000").value(), 250'000U);
}

TEST(LimitWords, OtherValuesAreRefusedWithWhatIsExpected) {
  for (const auto& [kind, text] :
       std::vector<std::pair<v1::Limit::Kind, std::string>>{{kReads, ""},
                                                            {kReads, "M"},
                                                            {kReads, "-5M"},
                                                            {kReads, "40MB"},
                                                            {kReads, "nanM"},
                                                            {kReads, "infM"},
                                                            {kReads, "99999999999T"},
                                                            {kPids, "5k"},
                                                            {kPids, "50%"},
                                                            {kCpu, "%"}}) {
    const auto value = parse_limit_value(kind, text);
    ASSERT_FALSE(value) << text;
    EXPECT_EQ(value.error().code, Errc::kInvalid);
    EXPECT_NE(value.error().message.find("give "), std::string::npos);
  }
}

TEST(LimitWords, Leases) {
  EXPECT_EQ(parse_lease("90s").value(), std::chrono::seconds(90));
  EXPECT_EQ(parse_lease("10m").value(), std::chrono::minutes(10));
  EXPECT_EQ(parse_lease("2h").value(), std::chrono::hours(2));
  EXPECT_EQ(parse_lease("1d").value(), std::chrono::hours(24));
  for (const char* const wrong : {"", "m", "10", "0m", "-1m", "10 m", "1w", "999999d", "1.5h"}) {
    EXPECT_FALSE(parse_lease(wrong)) << wrong;
  }
}

TEST(LimitWords, ValuesAreShownWithTheirUnits) {
  EXPECT_EQ(limit_value_text(kReads, std::uint64_t{40} << 20), "40 MiB/s");
  EXPECT_EQ(limit_value_text(v1::Limit::KIND_READ_OPERATIONS, 200), "200/s");
  EXPECT_EQ(limit_value_text(v1::Limit::KIND_MEMORY_HIGH, std::uint64_t{5} << 30), "5 GiB");
  EXPECT_EQ(limit_value_text(kCpu, 500'000), "0.50 CPUs");
  EXPECT_EQ(limit_value_text(kPids, 500), "500");
  EXPECT_EQ(limit_value_text(kPids, std::nullopt), "-");
}

}  // namespace
}  // namespace hvguard::ctl
