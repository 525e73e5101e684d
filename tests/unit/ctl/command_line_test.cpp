#include "ctl/command_line.h"

#include <array>
#include <string>

#include <gtest/gtest.h>

#include "ctl/views.h"

namespace hvguard::ctl {
namespace {

TEST(CommandLine, EveryKindOfIncidentCanBeAskedFor) {
  for (int number = v1::Incident::Kind_MIN + 1; number <= v1::Incident::Kind_MAX; ++number) {
    const std::string kind = kind_text(static_cast<v1::Incident::Kind>(number));
    const std::array<const char*, 4> words = {"hvguardctl", "incidents", "--kind", kind.c_str()};
    const auto parsed = parse_options(static_cast<int>(words.size()), words.data());
    ASSERT_TRUE(std::holds_alternative<Options>(parsed)) << std::get<Farewell>(parsed).text;
    EXPECT_EQ(std::get<Options>(parsed).kinds, std::vector{kind});
  }
}

TEST(CommandLine, AnUnknownKindIsToldWithThoseThereAre) {
  const std::array<const char*, 4> words = {"hvguardctl", "incidents", "--kind", "hung"};
  const auto parsed = parse_options(static_cast<int>(words.size()), words.data());
  ASSERT_TRUE(std::holds_alternative<Farewell>(parsed));
  const auto& farewell = std::get<Farewell>(parsed);
  EXPECT_EQ(farewell.exit_code, kExitUsage);
  EXPECT_NE(farewell.text.find("unclean_reboot"), std::string::npos) << farewell.text;
}

}  // namespace
}  // namespace hvguard::ctl
