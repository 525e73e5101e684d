#include "spool/rights.h"

#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hvguard::spool {
namespace {

bool has_no_capability() {
  std::ifstream status("/proc/self/status");
  int empty = 0;
  for (std::string line; std::getline(status, line);) {
    for (const char* const set : {"CapEff:", "CapPrm:", "CapAmb:", "CapInh:"}) {
      empty += line.starts_with(set) && line.find_first_not_of("0\t ", 7) == std::string::npos;
    }
  }
  return empty == 4;
}

TEST(Rights, AreGoneForGood) {
  ASSERT_EQ(::getuid(), 0U) << "this test needs root, to have something to give up";
  ASSERT_FALSE(has_no_capability());
  const pid_t child = ::fork();
  if (child == 0) {
    const bool dropped = drop_capabilities().has_value();
    ::_exit(dropped && has_no_capability() ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace hvguard::spool
