#include "guard/self_limits.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <fstream>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
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

// The sanitizers make mlock() and mlockall() do nothing.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

// Libraries that are there and that nothing of hvguardd calls.
bool is_left_out(const std::string& mapping) {
  const std::array names = {"gcrypt", "gpg-error", "lz4", "lzma", "m", "zstd"};
  return std::ranges::any_of(names, [&](const char* name) {
    return mapping.find(fmt::format("/lib{}.so", name)) != std::string::npos;
  });
}

// Names of mapped programs and libraries of which some page is not in memory, by proc(5), smaps.
std::string code_that_is_not_resident() {
  std::ifstream smaps("/proc/self/smaps");
  std::string line;
  std::string name;
  std::string size;
  std::string found;
  while (std::getline(smaps, line)) {
    if (std::isupper(static_cast<unsigned char>(line.front())) == 0) {  // a mapping begins
      const auto path = line.find(" /");
      const bool is_code = line.find(" r-xp ") != std::string::npos && path != std::string::npos;
      name = is_code && !is_left_out(line) ? line.substr(path + 1) : "";
    } else if (line.starts_with("Size:")) {
      size = line.substr(line.find_first_of("0123456789"));
    } else if (line.starts_with("Rss:") && !name.empty() &&
               line.substr(line.find_first_of("0123456789")) != size) {
      found += fmt::format("{}: {} of {}\n", name, line, size);
    }
  }
  return found;
}

TEST(LockedMemory, HasAllOfTheProgramAndItsLibraries) {
  const pid_t child = ::fork();  // nothing of that for the other tests
  if (child == 0) {
    if (code_that_is_not_resident().empty()) {
      ::_exit(3);  // of what a child inherits only what it has touched is
    }
    const auto locked = lock_memory();
    if (!locked) {
      ::_exit(locked.error().sys_errno == EPERM || locked.error().sys_errno == ENOMEM ? 2 : 1);
    }
    const std::string missing = code_that_is_not_resident();
    fmt::print(stderr, "{}", missing);
    ::_exit(missing.empty() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  ASSERT_NE(WEXITSTATUS(status), 2) << "needs the right to lock memory: `ulimit -l`";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

#endif

TEST(OpenFiles, AreRaisedToTheHardLimit) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = 64;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  EXPECT_EQ(raise_open_files().value(), before.rlim_max);
  rlimit after{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &before);
}

}  // namespace
}  // namespace hvguard::guard
