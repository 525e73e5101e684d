// Every story in stories/ against its golden; UPDATE_GOLDEN=1 rewrites the goldens.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "story.h"

namespace hvguard::test {
namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> story_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(HVGUARD_STORIES)) {
    if (entry.path().extension() == ".story") {
      names.push_back(entry.path().stem());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

class Story : public testing::TestWithParam<std::string> {};

TEST_P(Story, IsToldLikeItsGolden) {
  const std::filesystem::path folder = HVGUARD_STORIES;
  const auto golden_path = folder / (GetParam() + ".golden");
  const std::string said = tell(read_file(folder / (GetParam() + ".story")));
  ASSERT_FALSE(said.starts_with("error:")) << said;
  if (std::getenv("UPDATE_GOLDEN") != nullptr) {
    std::ofstream(golden_path) << said;
    return;
  }
  EXPECT_EQ(read_file(golden_path), said);
}

INSTANTIATE_TEST_SUITE_P(Stories, Story, testing::ValuesIn(story_names()), [](const auto& one) {
  return one.param;
});

TEST(StoryReader, RefusesWhatItDoesNotKnow) {
  EXPECT_TRUE(tell("dance 7\nend\n").starts_with("error: line 1"));
  EXPECT_TRUE(tell("vm web01 4711\n").starts_with("error:"));
}

}  // namespace
}  // namespace hvguard::test
