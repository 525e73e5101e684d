#include "ctl/command_line.h"

#include <array>
#include <string>
#include <variant>
#include <vector>

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

std::variant<Options, Farewell> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "hvguardctl");
  return parse_options(static_cast<int>(words.size()), words.data());
}

TEST(CommandLine, LimitSetTakesAllItsWords) {
  const auto parsed = parse({"limit",
                             "set",
                             "web01",
                             "read_bytes",
                             "40M",
                             "--device",
                             "sda",
                             "--for",
                             "10m",
                             "--reason",
                             "noisy",
                             "--dry-run"});
  ASSERT_TRUE(std::holds_alternative<Options>(parsed)) << std::get<Farewell>(parsed).text;
  const auto& options = std::get<Options>(parsed);
  EXPECT_EQ(options.command, Command::kLimitSet);
  EXPECT_EQ(options.subject, "web01");
  EXPECT_EQ(options.limit_kind, "read_bytes");
  EXPECT_EQ(options.value, "40M");
  EXPECT_EQ(options.device, "sda");
  EXPECT_EQ(options.lease, "10m");
  EXPECT_EQ(options.reason, "noisy");
  EXPECT_TRUE(options.dry_run);
}

TEST(CommandLine, WhatChangesSomethingNeedsItsReason) {
  const std::vector<std::vector<const char*>> commands = {
      {"limit", "set", "web01", "read_bytes", "40M", "--for", "10m"},
      {"limit", "release", "web01"},
      {"mode", "enforce"},
      {"cordon"},
      {"uncordon"},
      {"ack", "4f2a"}};
  for (auto words : commands) {
    const auto refused = parse(words);
    ASSERT_TRUE(std::holds_alternative<Farewell>(refused)) << words[0];
    EXPECT_EQ(std::get<Farewell>(refused).exit_code, kExitUsage);
    EXPECT_NE(std::get<Farewell>(refused).text.find("--reason"), std::string::npos)
        << std::get<Farewell>(refused).text;
    words.insert(words.end(), {"--reason", "why"});
    EXPECT_TRUE(std::holds_alternative<Options>(parse(words))) << words[0];
  }
}

TEST(CommandLine, TheOthersNeedNone) {
  EXPECT_EQ(std::get<Options>(parse({"mode"})).command, Command::kMode);
  EXPECT_EQ(std::get<Options>(parse({"reload"})).reason, "hvguardctl reload");
  EXPECT_EQ(std::get<Options>(parse({"limits", "--vm", "web01"})).vm, "web01");
  EXPECT_EQ(std::get<Options>(parse({"why", "web01"})).command, Command::kWhy);
  EXPECT_EQ(std::get<Options>(parse({"release", "--all"})).command, Command::kReleaseAll);
}

TEST(CommandLine, WrongOnesAreRefused) {
  for (const std::vector<const char*>& words : std::vector<std::vector<const char*>>{
           {"limit"},
           {"limit", "set", "web01", "rbps", "40M", "--for", "10m", "--reason", "r"},
           {"limit", "set", "web01", "read_bytes", "--for", "10m", "--reason", "r"},
           {"limit", "set", "web01", "read_bytes", "40M", "--reason", "r"},
           {"mode", "off", "--reason", "r"},
           {"release"},
           {"why"}}) {
    const auto parsed = parse(words);
    ASSERT_TRUE(std::holds_alternative<Farewell>(parsed)) << words[0];
    EXPECT_EQ(std::get<Farewell>(parsed).exit_code, kExitUsage);
  }
}

}  // namespace
}  // namespace hvguard::ctl
