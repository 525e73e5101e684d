#include "spool/pstore.h"

#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "temp_dir.h"

namespace hvguard::spool {
namespace {

constexpr std::int64_t kNow = 1'700'000'000;
constexpr WallTime kNotBefore{std::chrono::seconds(kNow - 60)};

constexpr const char* kPanic =
    "Panic#1 Part1\n"
    "<6>[  363.036862] INFO: task dd:811 blocked for more than 120 seconds.\n"
    "<0>[  363.108351] Kernel panic - not syncing: hung_task: blocked tasks\n"
    "<4>[  363.109000] CPU: 0 PID: 29 Comm: khungtaskd\n";
constexpr const char* kOops =
    "Oops#1 Part1\n"
    "<1>[   12.000000] BUG: kernel NULL pointer dereference, address: 0000000000000000\n";

class PstoreTest : public ::testing::Test {
 protected:
  void add(const std::string& name, const std::string& text, std::int64_t seconds = kNow) const {
    const std::filesystem::path path = dir.file(name);
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
    const timespec times[2] = {{seconds, 0}, {seconds, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }

  test::TempDir dir;
};

TEST_F(PstoreTest, FindsThePanicWhereTheKernelOrSystemdLeftIt) {
  for (const char* const place : {"sys/fs/pstore/dmesg-ramoops-0",
                                  "var/lib/systemd/pstore/dmesg-ramoops-0",
                                  "var/lib/systemd/pstore/1700000000/001/dmesg.txt"}) {
    const test::TempDir tree;
    std::filesystem::create_directories(std::filesystem::path(tree.file(place)).parent_path());
    std::ofstream(tree.file(place)) << kPanic;
    const v1::Pstore pstore = read_pstore(tree.path(), std::nullopt);
    ASSERT_EQ(pstore.files_size(), 1) << place;
    EXPECT_EQ(pstore.files(0).path(), std::string("/") + place);
    EXPECT_EQ(pstore.files(0).size_bytes(), std::string(kPanic).size());
    EXPECT_EQ(pstore.telling_line(), "Kernel panic - not syncing: hung_task: blocked tasks");
    EXPECT_EQ(pstore.error(), "");
  }
}

TEST_F(PstoreTest, NothingThereIsNoError) {
  const v1::Pstore pstore = read_pstore(dir.path(), kNotBefore);
  EXPECT_EQ(pstore.files_size(), 0);
  EXPECT_EQ(pstore.telling_line(), "");
  EXPECT_EQ(pstore.error(), "");
}

TEST_F(PstoreTest, WhatEarlierBootsLeftIsNotThisOnes) {
  add("var/lib/systemd/pstore/1600000000/dmesg.txt", kPanic, kNow - 100'000'000);
  add("sys/fs/pstore/dmesg-ramoops-0", kOops);
  const v1::Pstore pstore = read_pstore(dir.path(), kNotBefore);
  ASSERT_EQ(pstore.files_size(), 1);
  EXPECT_EQ(pstore.telling_line(),
            "BUG: kernel NULL pointer dereference, address: 0000000000000000");
  EXPECT_EQ(pstore.files(0).modify_time().seconds(), kNow);
}

TEST_F(PstoreTest, WhatWasToldOfTheBootBeforeIsNotToldAgain) {
  add("var/lib/systemd/pstore/dmesg.txt", kPanic);
  const v1::Pstore told = read_pstore(dir.path(), kNotBefore);
  ASSERT_EQ(told.files_size(), 1);
  EXPECT_EQ(read_pstore(dir.path(), kNotBefore, told).files_size(), 0);
  EXPECT_EQ(read_pstore(dir.path(), kNotBefore, told).telling_line(), "");
  add("var/lib/systemd/pstore/dmesg.txt", kOops, kNow + 1);
  EXPECT_EQ(read_pstore(dir.path(), kNotBefore, told).telling_line(),
            "BUG: kernel NULL pointer dereference, address: 0000000000000000");
}

TEST_F(PstoreTest, ThePanicTellsMoreThanTheOopsBeforeItWhateverTheFile) {
  add("sys/fs/pstore/dmesg-ramoops-0", kOops, kNow + 9);
  add("sys/fs/pstore/dmesg-ramoops-1", kPanic, kNow);
  EXPECT_EQ(read_pstore(dir.path(), kNotBefore).telling_line(),
            "Kernel panic - not syncing: hung_task: blocked tasks");
}

TEST_F(PstoreTest, OfSeveralCrashesTheLastOneCounts) {
  add("sys/fs/pstore/dmesg-erst-1", "<0>[ 1.0] Kernel panic - not syncing: first\n", kNow);
  add("sys/fs/pstore/dmesg-erst-2", "<0>[ 1.0] Kernel panic - not syncing: second\n", kNow + 9);
  EXPECT_EQ(read_pstore(dir.path(), kNotBefore).telling_line(),
            "Kernel panic - not syncing: second");
}

TEST_F(PstoreTest, HostileTextIsEscapedAndCut) {
  add("sys/fs/pstore/dmesg-ramoops-0",
      "Kernel panic - not syncing: \x1b[2J" + std::string(5000, 'x') + "\n");
  add("sys/fs/pstore/dmesg\x1b[2J", "\xff\xfe");
  const v1::Pstore pstore = read_pstore(dir.path(), kNotBefore);
  EXPECT_TRUE(pstore.telling_line().starts_with("Kernel panic - not syncing: \\x1b[2Jxxx"));
  EXPECT_LE(pstore.telling_line().size(), 256U);
  ASSERT_EQ(pstore.files_size(), 2);
  EXPECT_EQ(pstore.files(0).path(), "/sys/fs/pstore/dmesg\\x1b[2J");
}

TEST_F(PstoreTest, ManyAndLargeFilesAreBounded) {
  for (int i = 0; i < 40; ++i) {
    add(fmt::format("sys/fs/pstore/dmesg-{:02}", i), "nothing\n");
  }
  add("sys/fs/pstore/dmesg-large", kPanic + std::string(10 << 20, 'x'), kNow + 100);
  const v1::Pstore pstore = read_pstore(dir.path(), kNotBefore);
  EXPECT_EQ(pstore.files_size(), 16);
  EXPECT_EQ(pstore.left_out_file_count(), 25U);
  EXPECT_EQ(pstore.files(0).size_bytes(), std::string(kPanic).size() + (10 << 20));
  EXPECT_EQ(pstore.telling_line(), "Kernel panic - not syncing: hung_task: blocked tasks");
}

TEST_F(PstoreTest, LinksAreNotFollowedAndFifosNotWaitedFor) {
  add("secret", kPanic);
  std::filesystem::create_directories(dir.file("sys/fs/pstore"));
  std::filesystem::create_symlink(dir.file("secret"), dir.file("sys/fs/pstore/dmesg-link"));
  std::filesystem::create_directory_symlink(dir.path(), dir.file("sys/fs/pstore/loop"));
  ASSERT_EQ(::mkfifo(dir.file("sys/fs/pstore/fifo").c_str(), 0600), 0);
  EXPECT_EQ(read_pstore(dir.path(), kNotBefore).files_size(), 0);
}

TEST(TellingLine, KnowsWhatTellsMost) {
  EXPECT_EQ(telling_line("").weight, 0);
  EXPECT_EQ(telling_line("<6>[ 1.0] usb 1-1: new device\n").weight, 0);
  EXPECT_EQ(
      telling_line("[ 1.0] INFO: task kworker/u8:2:77 blocked for more than 120 seconds.").text,
      "INFO: task kworker/u8:2:77 blocked for more than 120 seconds.");
  EXPECT_EQ(telling_line("[ 1.0] INFO: task scheduler is fine\n").weight, 0);
  EXPECT_EQ(telling_line("<0>[ 9.1] watchdog: BUG: soft lockup - CPU#1 stuck for 26s!\n").text,
            "BUG: soft lockup - CPU#1 stuck for 26s!");
  EXPECT_EQ(telling_line("BUG: one\nBUG: two\n").text, "BUG: one") << "the first is the cause";
}

}  // namespace
}  // namespace hvguard::spool
