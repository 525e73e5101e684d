#include "guard/runtime_folder.h"

#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hvguard::guard {
namespace {

class RuntimeFolderTest : public testing::Test {
 protected:
  RuntimeFolderTest() {
    std::string pattern = testing::TempDir() + "hvguard-run-XXXXXX";
    parent_ = ::mkdtemp(pattern.data());
  }
  ~RuntimeFolderTest() override { std::filesystem::remove_all(parent_); }
  std::string parent_;
};

TEST_F(RuntimeFolderTest, IsMadeForOthersToPassWhateverTheUmask) {
  const mode_t mask = ::umask(0077);
  const auto folder = RuntimeFolder::claim(parent_ + "/run");
  ::umask(mask);
  ASSERT_TRUE(folder);
  struct stat info{};
  ASSERT_EQ(::stat((parent_ + "/run").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0755U);
}

TEST_F(RuntimeFolderTest, ASecondOneIsToldWhoHasIt) {
  auto first = RuntimeFolder::claim(parent_);
  ASSERT_TRUE(first);
  const auto second = RuntimeFolder::claim(parent_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kUnavailable);
  EXPECT_EQ(second.error().message,
            "another hvguardd (pid " + std::to_string(::getpid()) + ") uses " + parent_ +
                "; stop it first, or give this one another folder with --runtime-dir");
  first = fail(Errc::kInternal, "gone");  // the lock goes with it
  EXPECT_TRUE(RuntimeFolder::claim(parent_));
}

TEST_F(RuntimeFolderTest, AMissingParentIsNamed) {
  const auto folder = RuntimeFolder::claim(parent_ + "/a/b");
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().message,
            "make the runtime folder " + parent_ + "/a/b: No such file or directory");
}

}  // namespace
}  // namespace hvguard::guard
