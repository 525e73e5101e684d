#include "base/log_line.h"

#include <algorithm>
#include <array>
#include <string>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"

namespace hvguard {
namespace {

// Standard error is a stream to somebody who reads only when told to, as under systemd.
class LogLine : public testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    reader_.reset(ends[0]);
    const UniqueFd writer(ends[1]);
    kept_.reset(::dup(STDERR_FILENO));
    ASSERT_GE(::dup2(writer.get(), STDERR_FILENO), 0);
  }
  void TearDown() override { ::dup2(kept_.get(), STDERR_FILENO); }

  std::string read_all() const {
    std::string text;
    std::array<char, 65536> buffer{};
    for (;;) {
      const ssize_t count = ::recv(reader_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (count <= 0) {
        return text;
      }
      text.append(buffer.data(), static_cast<std::size_t>(count));
    }
  }

  UniqueFd reader_;
  UniqueFd kept_;
};

TEST_F(LogLine, IsOneLineWithItsPriority) {
  log_line("hvguard-spool", LogPriority::kWarning, "the disk is slow");
  log_line("hvguard-spool", LogPriority::kInfo, std::string(5000, 'x'));
  EXPECT_EQ(
      read_all(),
      "<4>hvguard-spool: the disk is slow\n<6>hvguard-spool: " + std::string(1024, 'x') + "\n");
}

TEST_F(LogLine, AStuckReaderHoldsNobodyBackAndLearnsWhatItMissed) {
  // More than any socket buffer: this would never return if it waited.
  for (int i = 0; i < 10'000; ++i) {
    log_line("test", LogPriority::kInfo, std::string(1000, 'x'));
  }
  const std::string first = read_all();
  const auto arrived = std::count(first.begin(), first.end(), '\n');
  ASSERT_GT(arrived, 0);
  ASSERT_LT(arrived, 10'000);
  EXPECT_EQ(first.find("left out"), std::string::npos);
  log_line("test", LogPriority::kInfo, "again");
  log_line("test", LogPriority::kInfo, "and again");
  EXPECT_EQ(read_all(),
            "<6>test: again (" + std::to_string(10'000 - arrived) +
                " lines left out before)\n<6>test: and again\n");
}

}  // namespace
}  // namespace hvguard
