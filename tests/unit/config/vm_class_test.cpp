// [[vm_class]] as a list of tables: names, order, and what a later file does to an earlier one.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "faults.h"

namespace hvguard::config {
namespace {

std::vector<std::string> names_of(const Draft& draft) {
  std::vector<std::string> names;
  for (const VmClass& one : validate(draft).config.policy.classes) {
    names.push_back(one.name);
  }
  return names;
}

TEST(VmClassList, ALaterFileReplacesAClassWholeAndInItsPlace) {
  Draft draft = decode({},
                       "[[vm_class]]\nname = \"a\"\nvms = [\"a*\"]\nio_weight = 10\ncpu_weight = "
                       "20\n[[vm_class]]\nname = \"b\"\nvms = [\"b\"]\n",
                       "1.toml");
  draft = decode(std::move(draft),
                 "[[vm_class]]\nname = \"c\"\nvms = [\"c\"]\n"
                 "[[vm_class]]\nname = \"a\"\nvms = [\"A*\"]\nio_weight = 11\n",
                 "2.toml");
  ASSERT_TRUE(draft.faults.empty());
  EXPECT_EQ(names_of(draft), (std::vector<std::string>{"a", "b", "c"}));
  const VmClass first = validate(draft).config.policy.classes.at(0);
  EXPECT_EQ(first.match.vms, std::vector<std::string>{"A*"});
  EXPECT_EQ(first.baseline.io_weight, 11U);
  EXPECT_FALSE(first.baseline.cpu_weight);
  EXPECT_EQ(to_string(draft.origins.at("vm_class.a.io_weight")), "2.toml:7:13");
  EXPECT_FALSE(draft.origins.contains("vm_class.a.cpu_weight"));
  EXPECT_TRUE(draft.origins.contains("vm_class.b.vms"));
}

// "a" must not take the origins of "a-b" with it.
TEST(VmClassList, ReplacingAClassLeavesTheOthersAlone) {
  Draft draft = decode({},
                       "[[vm_class]]\nname = \"a\"\nvms = [\"a\"]\n"
                       "[[vm_class]]\nname = \"a-b\"\nvms = [\"b\"]\npids_max = 5000\n",
                       "1.toml");
  draft = decode(std::move(draft), "[[vm_class]]\nname = \"a\"\nvms = [\"z\"]\n", "2.toml");
  EXPECT_EQ(to_string(draft.origins.at("vm_class.a-b.pids_max")), "1.toml:7:12");
}

TEST(VmClassList, TheShortFormIsTheSame) {
  EXPECT_EQ(names_of(decode({}, "vm_class = [{name = \"a\"}]\n", "f.toml")),
            std::vector<std::string>{"a"});
  EXPECT_TRUE(names_of(decode({}, "vm_class = []\n", "f.toml")).empty());
}

TEST(VmClassList, IsBoundedOverAllFiles) {
  Draft draft;
  for (int i = 0; i < 65; ++i) {
    const std::string name = "c" + std::to_string(i);
    draft = decode(std::move(draft),
                   "[[vm_class]]\nname = \"" + name + "\"\nvms = [\"" + name + "\"]\n",
                   name + ".toml");
  }
  ASSERT_EQ(draft.faults.size(), 1U);
  EXPECT_EQ(to_string(draft.faults[0]), "c64.toml:2:8: more than 64 [[vm_class]] in all files");
  EXPECT_EQ(draft.values.vm_class_size(), 64);
}

class BadList : public testing::TestWithParam<BadFile> {};

TEST_P(BadList, SaysExactlyThis) {
  EXPECT_EQ(faults_of(GetParam().text), GetParam().faults);
}

constexpr const char* kNeedsName =
    "each [[vm_class]] needs a name of at most 64 letters, digits, '-' and '_', such as name = "
    "\"small\"";
constexpr const char* kNeedsBrackets =
    "'vm_class' is a list of tables: write [[vm_class]] on a line of its own before each of them, "
    "and its keys below";

INSTANTIATE_TEST_SUITE_P(
    Files,
    BadList,
    testing::Values(
        BadFile{"OneBracket",
                "[vm_class]\nname = \"a\"\n",
                {std::string("f.toml:1:1: ") + kNeedsBrackets}},
        BadFile{
            "ListOfTexts", "vm_class = [\"a\"]\n", {std::string("f.toml:1:12: ") + kNeedsBrackets}},
        BadFile{"TwoBracketsTooMany",
                "[[log]]\nlevel = \"info\"\n",
                {"f.toml:1:1: 'log' must be a table: write [log] on a line of its own, and its "
                 "keys below"}},
        BadFile{"UnknownList",
                "[[vm_clas]]\nname = \"a\"\n",
                {"f.toml:1:3: unknown table [vm_clas]; did you mean 'vm_class'?"}},
        BadFile{
            "NoName", "[[vm_class]]\nio_weight = 5\n", {std::string("f.toml:1:1: ") + kNeedsName}},
        BadFile{
            "EmptyName", "[[vm_class]]\nname = \"\"\n", {std::string("f.toml:2:8: ") + kNeedsName}},
        BadFile{"NameWithDot",
                "[[vm_class]]\nname = \"a.b\"\n",
                {std::string("f.toml:2:8: ") + kNeedsName}},
        BadFile{
            "NameAsNumber", "[[vm_class]]\nname = 3\n", {std::string("f.toml:2:8: ") + kNeedsName}},
        BadFile{"SameNameTwice",
                "[[vm_class]]\nname = \"a\"\nvms = [\"x\"]\n[[vm_class]]\nname = \"a\"\n",
                {"f.toml:5:8: a second [[vm_class]] named 'a' in this file; the first is in line "
                 "2"}},
        BadFile{"UnknownKey",
                "[[vm_class]]\nname = \"a\"\nio_wieght = 5\n",
                {"f.toml:3:1: unknown key 'io_wieght' in [[vm_class]]; did you mean "
                 "'io_weight'?"}},
        BadFile{"KeyOutside",
                "io_weight = 5\n",
                {"f.toml:1:1: key 'io_weight' stands outside of any table; it belongs below "
                 "[[vm_class]]"}},
        BadFile{"TwoForAll",
                "[[vm_class]]\nname = \"a\"\n[[vm_class]]\nname = \"b\"\n",
                {"f.toml:2:8: 'vm_class.a.name': fits every VM, so that the classes after it, such "
                 "as 'b', never do: put it last, or say which VMs it is for"}}),
    [](const testing::TestParamInfo<BadFile>& bad_file) {
      return std::string(bad_file.param.what);
    });

}  // namespace
}  // namespace hvguard::config
