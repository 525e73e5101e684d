#include "guard/self_limits.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hvguard::guard {
namespace {

TEST(ExitAfter, EndsAProcessThatHangs) {
  const pid_t child = ::fork();
  if (child == 0) {
    exit_after(std::chrono::milliseconds(20), 3);
    while (true) {
      ::pause();
    }
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 3);
}

}  // namespace
}  // namespace hvguard::guard
