#include "config/load.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace hvguard::config {
namespace {

class Load : public testing::Test {
 protected:
  Load() {
    std::string pattern = testing::TempDir() + "hvguard-config-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~Load() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream(path(name)) << text;
  }

  std::string folder_;
};

TEST_F(Load, ANamedFileMustExist) {
  const Loaded loaded = load(path("none.toml"));
  ASSERT_EQ(loaded.faults.size(), 1U);
  EXPECT_EQ(to_string(loaded.faults[0]),
            path("none.toml") + ": cannot be opened: No such file or directory");
}

TEST_F(Load, DropInsFollowInTheOrderOfTheirNames) {
  write("h.toml", "[log]\nlevel = \"error\"\n[io_stall]\nopen_after = \"7s\"\n");
  write("h.d/20.toml", "[log]\nlevel = \"debug\"\n");
  write("h.d/10.toml", "[log]\nlevel = \"warning\"\n[hung_task]\nopen_after = \"4s\"\n");
  write("h.d/.hidden.toml", "nonsense");
  write("h.d/README", "nonsense");
  const Loaded loaded = load(path("h.toml"));
  EXPECT_TRUE(loaded.faults.empty());
  EXPECT_EQ(loaded.config.log.level, LogLevel::kDebug);
  EXPECT_EQ(loaded.config.io_stall.open_after, seconds(7));
  EXPECT_EQ(loaded.config.hung_task.open_after, seconds(4));
  EXPECT_EQ(to_string(loaded.origins.at("log.level")), path("h.d/20.toml") + ":2:9");
  EXPECT_EQ(loaded.files, (std::vector{path("h.toml"), path("h.d/10.toml"), path("h.d/20.toml")}));
}

TEST_F(Load, FaultsOfAllFilesComeAtOnceInFileOrder) {
  write("h.toml", "[hung_task]\nopen_after = \"0s\"\nopen_befor = 1\n");
  write("h.d/1.toml", "[log]\nlevel = 3\n");
  write("h.d/2.toml", "not toml");
  const Loaded loaded = load(path("h.toml"));
  ASSERT_EQ(loaded.faults.size(), 4U);
  EXPECT_EQ(loaded.faults[0].origin.line, 2U);
  EXPECT_EQ(loaded.faults[1].origin.line, 3U);
  EXPECT_EQ(loaded.faults[2].origin.file, path("h.d/1.toml"));
  EXPECT_EQ(loaded.faults[3].origin.file, path("h.d/2.toml"));
}

TEST_F(Load, WhatIsNoRegularFileDoesNotBlock) {
  ASSERT_EQ(::mkfifo(path("fifo.toml").c_str(), 0600), 0);
  const Loaded loaded = load(path("fifo.toml"));
  ASSERT_EQ(loaded.faults.size(), 1U);
  EXPECT_EQ(to_string(loaded.faults[0]), path("fifo.toml") + ": is no regular file");
}

TEST_F(Load, TooManyDropInsAreAFault) {
  write("h.toml", "");
  for (std::size_t i = 0; i <= kMaxDropIns; ++i) {
    write("h.d/" + std::to_string(i) + ".toml", "");
  }
  const Loaded loaded = load(path("h.toml"));
  ASSERT_EQ(loaded.faults.size(), 1U);
  EXPECT_EQ(to_string(loaded.faults[0]), path("h.d") + ": has more than 64 files");
}

TEST_F(Load, NothingWrittenMeansDefaults) {
  write("h.toml", "");
  const Loaded loaded = load(path("h.toml"));
  EXPECT_TRUE(loaded.faults.empty());
  EXPECT_TRUE(loaded.origins.empty());
  EXPECT_EQ(loaded.config.hung_task.open_after, HungTaskConfig{}.open_after);
}

TEST(DescribeFaults, CountsThem) {
  EXPECT_EQ(describe_faults({{{"f", 1, 2}, "a"}, {{"f", 0, 0}, "b"}}),
            "f:1:2: a\nf: b\n2 faults in the configuration\n");
}

}  // namespace
}  // namespace hvguard::config
