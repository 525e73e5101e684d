#include "guard/config_reader.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <poll.h>

namespace hvguard::guard {
namespace {

class ConfigReaderTest : public testing::Test {
 protected:
  ConfigReaderTest() {
    std::string pattern = testing::TempDir() + "hvguard-reader-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~ConfigReaderTest() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string file(const std::string& text) const {
    std::ofstream(folder_ + "/h.toml") << text;
    return folder_ + "/h.toml";
  }
  std::string folder_;
};

TEST_F(ConfigReaderTest, LooksUpTheGatewaysUser) {
  const ReadConfig read = read_config(file("[core_socket]\ngateway_user = \"nobody\"\n"));
  EXPECT_TRUE(read.loaded.faults.empty());
  EXPECT_EQ(read.gateway_uid, 65534U);
  EXPECT_TRUE(read.gateway_gid);
}

TEST_F(ConfigReaderTest, LooksUpTheSpoolsUser) {
  EXPECT_EQ(read_config(file("[core_socket]\nspool_user = \"nobody\"\n")).spool_uid, 65534U);
  EXPECT_FALSE(read_config(file("[core_socket]\nspool_user = \"no-such-user\"\n")).spool_uid);
}

TEST_F(ConfigReaderTest, AUserThatDoesNotExistIsNoFault) {
  const ReadConfig read = read_config(file("[core_socket]\ngateway_user = \"no-such-user\"\n"));
  EXPECT_TRUE(read.loaded.faults.empty());
  EXPECT_FALSE(read.gateway_uid);
}

TEST_F(ConfigReaderTest, AnswersThroughTheInboxOneReadAtATime) {
  const std::shared_ptr<Inbox> inbox = Inbox::create().value();
  ConfigReader reader(inbox, file("[log]\nlevel = \"debug\"\n"));
  int answers = 0;
  const auto done = [&](const ReadConfig& read) {
    ++answers;
    EXPECT_EQ(read.loaded.config.log.level, LogLevel::kDebug);
  };
  EXPECT_TRUE(reader.start(done).value());
  EXPECT_TRUE(reader.busy());
  EXPECT_FALSE(reader.start(done).value());  // the first one's answer still waits in the inbox
  pollfd fd{inbox->fd(), POLLIN, 0};
  ASSERT_EQ(::poll(&fd, 1, 20'000), 1);
  inbox->drain();
  EXPECT_EQ(answers, 1);
  EXPECT_FALSE(reader.busy());
}

}  // namespace
}  // namespace hvguard::guard
