#include "observe/host_reader.h"

#include <array>
#include <vector>

#include <gtest/gtest.h>

#include "tree.h"

namespace hvguard::observe {
namespace {

using test::Tree;

class HostReaderTest : public ::testing::Test {
 protected:
  HostReaderTest() { tree_.add_host(); }

  // Reads once with a fresh reader.
  void read() {
    root_.emplace(HostRoot::open(tree_.root()).value());
    reader_.emplace(*root_);
    read_again();
  }
  void read_again() {
    host_ = {};
    self_ = {};
    book_.begin_tick(BootTime{std::chrono::seconds(5)});
    reader_->read(buffer_, host_, self_, book_);
    book_.fill(snapshot_);
  }

  Tree tree_;
  std::optional<HostRoot> root_;
  std::optional<HostReader> reader_;
  std::array<char, 65536> buffer_{};
  SourceBook book_;
  HostReading host_;
  SelfReading self_;
  Snapshot snapshot_;
};

TEST_F(HostReaderTest, ReadsAll) {
  read();
  EXPECT_EQ(host_.hostname, "hv\\x1b[1m7");
  EXPECT_EQ(host_.kernel_release, "6.1.0-56-amd64");
  ASSERT_TRUE(host_.io_pressure && host_.io_pressure->full);
  EXPECT_DOUBLE_EQ(host_.io_pressure->full->avg10_ratio, 0.005);
  ASSERT_TRUE(host_.vmstat);
  EXPECT_EQ(host_.vmstat->oom_kills, Counter{4});
  ASSERT_TRUE(host_.meminfo);
  EXPECT_EQ(host_.meminfo->available_bytes, 1024U * 1024);
  ASSERT_TRUE(host_.loadavg);
  EXPECT_EQ(host_.loadavg->thread_count, 345U);
  EXPECT_EQ(reader_->newest_pid(), 4711);
  ASSERT_TRUE(host_.hung_task);
  EXPECT_EQ(host_.hung_task->timeout_seconds, 120U);
  EXPECT_EQ(host_.hung_task->check_interval_seconds, 0U);
  EXPECT_EQ(host_.hung_task->warnings_left, -1);
  EXPECT_EQ(host_.hung_task->hung_task_panic, 1U);
  EXPECT_EQ(host_.hung_task->panic_seconds, -5);
  EXPECT_FALSE(host_.hung_task->detect_count) << "not before 6.13";
  EXPECT_EQ(self_.resident_bytes, 2048U * 1024);
  EXPECT_EQ(self_.thread_count, 3U);
  EXPECT_TRUE(self_.cpu_microseconds);
  for (const auto source : {Source::kPressure,
                            Source::kVmstat,
                            Source::kMeminfo,
                            Source::kLoadavg,
                            Source::kHungTaskSysctls}) {
    EXPECT_EQ(snapshot_.source(source).state, SourceState::kOk);
    EXPECT_EQ(snapshot_.source(source).last_good, BootTime{std::chrono::seconds(5)});
  }
  EXPECT_TRUE(snapshot_.gaps.empty());
}

TEST_F(HostReaderTest, WhatIsMissingIsAbsentAndSaid) {
  tree_.remove("proc/pressure");
  tree_.remove("proc/vmstat");
  tree_.remove("proc/sys/kernel/hung_task_panic");
  tree_.file("proc/loadavg", "gibberish\n");
  read();
  EXPECT_FALSE(host_.cpu_pressure);
  EXPECT_FALSE(host_.vmstat);
  EXPECT_FALSE(host_.loadavg);
  EXPECT_EQ(host_.hung_task->timeout_seconds, 120U);
  for (const auto source :
       {Source::kPressure, Source::kVmstat, Source::kLoadavg, Source::kHungTaskSysctls}) {
    EXPECT_EQ(snapshot_.source(source).state, SourceState::kBlind);
    EXPECT_FALSE(snapshot_.source(source).detail.empty());
    EXPECT_FALSE(snapshot_.source(source).last_good);
  }
  EXPECT_EQ(snapshot_.source(Source::kMeminfo).state, SourceState::kOk);
}

TEST_F(HostReaderTest, OneMissingPressureFileIsAGap) {
  tree_.remove("proc/pressure/io");
  read();
  EXPECT_EQ(snapshot_.source(Source::kPressure).state, SourceState::kOk);
  ASSERT_EQ(snapshot_.gaps.size(), 1U);
  EXPECT_EQ(snapshot_.gaps[0].subject, "/proc/pressure/io");
}

TEST_F(HostReaderTest, FilesAreOpenedOnceAndMissingOnesOnlyWhenAsked) {
  tree_.remove("proc/vmstat");
  read();
  tree_.file("proc/vmstat", "pswpin 77\n");
  tree_.file("proc/meminfo", "MemAvailable: 9 kB\n");  // same inode: the kept descriptor reads it
  read_again();
  EXPECT_FALSE(host_.vmstat);
  EXPECT_EQ(host_.meminfo->available_bytes, 9U * 1024);
  reader_->open_missing(*root_);
  read_again();
  ASSERT_TRUE(host_.vmstat);
  EXPECT_EQ(host_.vmstat->swap_in_pages, Counter{77});
}

TEST(HostRootTest, NeedsProcAlone) {
  const Tree empty;
  EXPECT_FALSE(HostRoot::open(empty.root()));
  empty.directory("proc");
  const auto root = HostRoot::open(empty.root());
  ASSERT_TRUE(root);
  EXPECT_EQ(root->cgroup(), nullptr);
  EXPECT_FALSE(root->sys().valid());
  EXPECT_FALSE(root->live());
}

TEST(HostRootTest, ListsNumbersAlone) {
  const Tree tree;
  for (const auto* const name : {"proc/1", "proc/22", "proc/0", "proc/1x", "proc/self"}) {
    tree.directory(name);
  }
  const auto root = HostRoot::open(tree.root());
  ASSERT_TRUE(root);
  for (int round = 0; round < 2; ++round) {  // a kept descriptor is rewound
    auto list = list_numeric(root->proc(), 10);
    ASSERT_TRUE(list);
    std::sort(list->ids.begin(), list->ids.end());
    EXPECT_EQ(list->ids, (std::vector<Pid>{1, 22}));
  }
  EXPECT_TRUE(list_numeric(root->proc(), 1)->truncated);
}

}  // namespace
}  // namespace hvguard::observe
