// Faulty files and the exact words that an operator gets for them.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "config/decode.h"
#include "config/validate.h"
#include "faults.h"

namespace hvguard::config {
namespace {

class BadConfig : public testing::TestWithParam<BadFile> {};

TEST_P(BadConfig, SaysExactlyThis) {
  EXPECT_EQ(faults_of(GetParam().text), GetParam().faults);
}

INSTANTIATE_TEST_SUITE_P(
    Files,
    BadConfig,
    testing::Values(
        BadFile{"UnknownKeyNear",
                "[hung_task]\nopen_afer = \"10s\"\n",
                {"f.toml:2:1: unknown key 'open_afer' in [hung_task]; did you mean 'open_after'?"}},
        BadFile{"UnknownKeyFar",
                "[log]\nverbosity = 3\n",
                {"f.toml:2:1: unknown key 'verbosity' in [log]; known here: level"}},
        BadFile{"UnknownTable",
                "[hung_tsak]\n",
                {"f.toml:1:2: unknown table [hung_tsak]; did you mean 'hung_task'?"}},
        BadFile{"KeyOutsideOfItsTable",
                "rescan_interval = \"3s\"\n",
                {"f.toml:1:1: key 'rescan_interval' stands outside of any table; it belongs below "
                 "[sampler]"}},
        BadFile{"UnknownKeyOutside",
                "colour = 1\n",
                {"f.toml:1:1: unknown key 'colour' outside of any table"}},
        BadFile{
            "TableAsValue",
            "log = 3\n",
            {"f.toml:1:7: 'log' must be a table: write [log] on a line of its own, and its keys "
             "below"}},
        BadFile{"DurationAsNumber",
                "[hung_task]\nopen_after = 10\n",
                {"f.toml:2:14: 'open_after' in [hung_task] must be text in quotes; this is 10"}},
        BadFile{"DurationAsHugeFraction",
                "[hung_task]\nopen_after = 1e32\n",
                {"f.toml:2:14: 'open_after' in [hung_task] must be text in quotes; this is a "
                 "fraction"}},
        BadFile{"FlagAsText",
                "[sampler]\nuse_bpf = \"yes\"\n",
                {"f.toml:2:11: 'use_bpf' in [sampler] must be true or false, without quotes; this "
                 "is text"}},
        BadFile{"NegativeCount",
                "[incidents]\nmax_open = -1\n",
                {"f.toml:2:12: 'max_open' in [incidents] must be a whole number from 0 to "
                 "4294967295; this is -1"}},
        BadFile{"MixedList",
                "[vm_finder]\nexecutables = [\"kvm\", 3]\n",
                {"f.toml:2:15: 'executables' in [vm_finder] must be a list of texts, such as "
                 "[\"a\", \"b\"]; this is a list with other things in it"}},
        BadFile{"EmptyList",
                "[vm_finder]\nexecutables = []\n",
                {"f.toml:2:15: 'vm_finder.executables': names nothing; remove the key for the "
                 "built-in list"}},
        BadFile{"PatternForEverything",
                "[vm_finder]\nexecutables = [\"*\"]\n",
                {"f.toml:2:15: 'vm_finder.executables': \"*\" would take every process for a VM"}},
        BadFile{
            "PatternWithPath",
            "[vm_finder]\nexecutables = [\"/usr/bin/kvm\"]\n",
            {"f.toml:2:15: 'vm_finder.executables': \"/usr/bin/kvm\" is no file name: write the "
             "name without its path, such as \"qemu-system-*\""}},
        BadFile{"NoUnit",
                "[io_stall]\nopen_after = \"5\"\n",
                {"f.toml:2:14: 'io_stall.open_after': \"5\" is no duration: write a whole number "
                 "and ms, s, min or h, such as \"5s\""}},
        BadFile{"OutOfRange",
                "[sampler]\ninterval = \"100ms\"\n",
                {"f.toml:2:12: 'sampler.interval': \"100ms\" is out of range: 200ms to 1s"}},
        BadFile{"NotANumber",
                "[vm_topology]\npids_headroom_ratio = nan\n",
                {"f.toml:2:23: 'vm_topology.pids_headroom_ratio': nan is out of range: 0.1 to 1"}},
        BadFile{"CriticalBeforeOpen",
                "[hung_task]\nopen_after = \"40s\"\n",
                {"f.toml:2:14: 'hung_task.critical_after': 30s is shorter than "
                 "'hung_task.open_after' (40s)"}},
        BadFile{"MaximumBelowMinimum",
                "[incidents]\nresolve_after_max = \"2s\"\n",
                {"f.toml:2:21: 'incidents.resolve_after_max': 2s is shorter than "
                 "'incidents.resolve_after' (5s)"}},
        BadFile{"RelativePath",
                "[core_socket]\npath = \"core.sock\"\n",
                {"f.toml:2:8: 'core_socket.path': \"core.sock\" is no absolute path, such as "
                 "\"/run/hvguard/core.sock\""}},
        BadFile{"UserName",
                "[core_socket]\ngateway_user = \"a b\"\n",
                {"f.toml:2:16: 'core_socket.gateway_user': \"a b\" is no user name, such as "
                 "\"hvguard-gateway\""}},
        BadFile{"SpoolUserName",
                "[core_socket]\nspool_user = \"\"\n",
                {"f.toml:2:14: 'core_socket.spool_user': \"\" is no user name, such as "
                 "\"hvguard-spool\""}},
        BadFile{"OpenForNoTime",
                "[unclean_reboot]\nopen_for = \"30s\"\n",
                {"f.toml:2:12: 'unclean_reboot.open_for': \"30s\" is out of range: 1min to 8760h"}},
        BadFile{"Level",
                "[log]\nlevel = \"loud\"\n",
                {"f.toml:2:9: 'log.level': \"loud\" is no level: debug, info, warning or error"}},
        BadFile{"EscapeCodes",
                "[log]\n\"\\u001b[31mx\" = 1\n",
                {"f.toml:2:1: unknown key '\\x1b[31mx' in [log]; known here: level"}}),
    [](const testing::TestParamInfo<BadFile>& bad_file) {
      return std::string(bad_file.param.what);
    });

TEST(Decode, TellsAllFaultsAtOnce) {
  EXPECT_EQ(faults_of("[sampler]\nuse_bpf = 1\n[nope]\n[hung_task]\nopen_after = \"1d\"\n").size(),
            3U);
}

TEST(Decode, SyntaxErrorNamesThePlaceAndChangesNothing) {
  const Draft draft = decode({}, "[log]\nlevel = \"info\"\n[sampler\n", "f.toml");
  ASSERT_EQ(draft.faults.size(), 1U);
  EXPECT_EQ(draft.faults[0].origin.line, 3U);
  EXPECT_TRUE(draft.origins.empty());
  EXPECT_FALSE(draft.values.has_log());
}

TEST(Decode, TheSameKeyTwiceIsAFault) {
  EXPECT_EQ(faults_of("[log]\nlevel = \"info\"\nlevel = \"error\"\n").size(), 1U);
}

TEST(Decode, FaultsAreBounded) {
  std::string text = "[log]\n";
  for (int i = 0; i < 1000; ++i) {
    text += "k" + std::to_string(i) + " = 1\n";
  }
  const Draft draft = decode({}, text, "f.toml");
  EXPECT_EQ(draft.faults.size(), kMaxFaults);
  EXPECT_EQ(draft.dropped_fault_count, 900U);
}

TEST(Decode, TooLongIsRefusedUnread) {
  const Draft draft = decode({}, std::string(kMaxConfigBytes + 1, '#'), "f.toml");
  ASSERT_EQ(draft.faults.size(), 1U);
  EXPECT_EQ(to_string(draft.faults[0]),
            "f.toml: longer than 256 KiB, which no configuration of hvguard needs");
}

// "˗" (U+02D7) looks like a minus; it must be named, and must not reach toml++.
TEST(Decode, CharactersBeyondAsciiOnlyInComments) {
  EXPECT_EQ(
      faults_of("[log]\nlevel = \"info\" \xCB\x97\n"),
      std::vector<std::string>{"f.toml:2:16: a character beyond ASCII outside of a comment; in "
                               "quotes, write it as an escape such as \\u00e4"});
  for (const std::string text : {"# \xC3\xA4 \"\n\xC3\xA4 = 1\n",
                                 "a = \"x\n\xC3\xA4",
                                 "#\n\"\xC3\xA4\"",
                                 "\n'#\xC3\xA4'",
                                 "\n\xC3\xA4"}) {
    EXPECT_EQ(faults_of(text).at(0).substr(0, 9), "f.toml:2:") << text;
  }
}

TEST(Decode, CommentsTakeAnyCharacterAndQuotesTakeHashes) {
  for (const std::string fine :
       {"\xEF\xBB\xBF[log]\n# \xC3\xA4 \" '\n",
        "[vm_finder]\nexecutables = [\"#\\\"#\", '#\\'] # ' \xC3\xA4\n",
        "[vm_finder]\nexecutables = [\"\"\"\n#\"\" #\"\"\"\"] # \xC3\xA4\n",
        "[vm_finder]\nexecutables = ['''\\\n#''', \"b\"] # \xC3\xA4\n"}) {
    EXPECT_TRUE(faults_of(fine).empty()) << fine << faults_of(fine).at(0);
  }
}

TEST(Decode, ControlCharactersNowhere) {
  for (const std::string text : {"[\x01\n[", "#\n#\x7f", "#\n'\x1b'"}) {
    ASSERT_EQ(faults_of(text).size(), 1U);
    EXPECT_NE(faults_of(text)[0].find(": a control character, which TOML allows nowhere"),
              std::string::npos);
  }
  EXPECT_TRUE(faults_of("[log]\r\nlevel\t= 'info'\r\n").empty());
}

TEST(Decode, ATableWithoutANameIsAFault) {
  for (const std::string text : {"[=", "[,]", "[[=]]", "[", "[\n["}) {
    EXPECT_EQ(faults_of(text).size(), 1U) << text;
  }
}

TEST(Decode, DeepNestingIsAFault) {
  const std::string deep(5000, '[');
  EXPECT_EQ(decode({}, "a = " + deep, "f.toml").faults.size(), 1U);
}

TEST(Decode, ALaterFileWinsKeyByKeyAndKeepsOrigins) {
  Draft draft = decode({}, "[hung_task]\nopen_after = \"2s\"\ncritical_after = \"9s\"\n", "a.toml");
  draft = decode(std::move(draft), "\n[hung_task]\nopen_after = \"3s\"\n", "b.toml");
  const Validated validated = validate(draft);
  ASSERT_TRUE(validated.faults.empty());
  EXPECT_EQ(validated.config.hung_task.open_after, seconds(3));
  EXPECT_EQ(validated.config.hung_task.critical_after, seconds(9));
  EXPECT_EQ(to_string(draft.origins.at("hung_task.open_after")), "b.toml:3:14");
  EXPECT_EQ(to_string(draft.origins.at("hung_task.critical_after")), "a.toml:3:18");
}

TEST(Decode, ALaterListReplacesTheEarlierOne) {
  Draft draft = decode({}, "[vm_finder]\nexecutables = [\"a\", \"b\"]\n", "a.toml");
  draft = decode(std::move(draft), "[vm_finder]\nexecutables = [\"c\"]\n", "b.toml");
  EXPECT_EQ(validate(draft).config.vm_finder.executables, std::vector<std::string>{"c"});
}

}  // namespace
}  // namespace hvguard::config
