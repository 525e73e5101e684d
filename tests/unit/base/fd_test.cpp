#include "base/fd.h"

#include <array>
#include <cstdlib>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hvguard {
namespace {

class ReplaceFile : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(path_.data()), nullptr);
    folder_ = *DirFd::open(path_);
  }
  void TearDown() override {
    ::unlinkat(folder_.get(), "state", 0);
    ::unlinkat(folder_.get(), "state.new", 0);
    ::unlinkat(folder_.get(), "state.new", AT_REMOVEDIR);
    ::rmdir(path_.c_str());
  }
  std::string content(const std::string& name) const {
    std::array<char, 64> buffer{};
    return std::string(read_file_at(folder_, name, buffer).value_or("unreadable"));
  }

  std::string path_ = "/tmp/hvguard-replace-XXXXXX";
  DirFd folder_;
};

TEST_F(ReplaceFile, TheNewContentStandsInPlaceOfTheOld) {
  for (const auto durability : {Durability::kMemory, Durability::kDisk}) {
    ASSERT_TRUE(replace_file_at(folder_.get(), "state", "a longer first one", 0600, durability));
    ASSERT_TRUE(replace_file_at(folder_.get(), "state", "second", 0600, durability));
    EXPECT_EQ(content("state"), "second");
    EXPECT_NE(::faccessat(folder_.get(), "state.new", F_OK, 0), 0) << "nothing is left behind";
  }
  struct stat info{};
  ASSERT_EQ(::fstatat(folder_.get(), "state", &info, 0), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(ReplaceFile, TheOldContentStaysIfTheNewCannotBeWritten) {
  ASSERT_TRUE(replace_file_at(folder_.get(), "state", "old", 0600, Durability::kMemory));
  ASSERT_EQ(::mkdirat(folder_.get(), "state.new", 0700), 0);
  const auto replaced = replace_file_at(folder_.get(), "state", "new", 0600, Durability::kMemory);
  ASSERT_FALSE(replaced);
  EXPECT_NE(replaced.error().message.find("create state.new"), std::string::npos)
      << replaced.error().message;
  EXPECT_EQ(content("state"), "old");
}

TEST(WriteAll, SaysWhyItFailed) {
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  EXPECT_TRUE(write_all(full.get(), ""));
  const auto written = write_all(full.get(), "x");
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message.find("No space left"), std::string::npos);
}

}  // namespace
}  // namespace hvguard
