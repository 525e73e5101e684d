#include "enforce/lease_journal.h"

#include <filesystem>

#include <gtest/gtest.h>
#include <sys/file.h>

#include "cgroup_fixture.h"

namespace hvguard::enforce {
namespace {

using test::vm_number;

LeaseRecord record(int number, SettingKey key = test::kReadBytes) {
  return {.vm = vm_number(number),
          .unit = "machine-qemu\\x2d1\\x2dweb.scope",
          .cgroup_path = "/machine.slice/a name with blanks",
          .cgroup = CgroupId{77},
          .key = key,
          .earlier = std::nullopt,
          .ours = {16 << 20, 8 << 20}};
}

TEST(LeaseJournal, WhatIsWrittenIsRead) {
  auto foreign = record(2, test::kPids);
  foreign.unit.clear();
  foreign.earlier = 16384;
  const auto read =
      decode_journal(encode_header("boot-1") + encode_record(record(1)) + encode_record(foreign));
  EXPECT_EQ(read.boot_id, "boot-1");
  EXPECT_EQ(read.damage, std::vector<std::string>());
  EXPECT_EQ(read.records, (std::vector{record(1), foreign}));
}

// Any byte changed, any part missing: the other lines are read, and what is read is what was
// written.
TEST(LeaseJournal, DamageCostsItsOwnLineAlone) {
  const std::string first = encode_header("boot-1") + encode_record(record(1));
  const std::string whole = first + encode_record(record(2));
  for (std::size_t at = first.size(); at < whole.size(); ++at) {
    for (const bool cut : {false, true}) {
      std::string damaged = cut ? whole.substr(0, at) : whole;
      if (!cut) {
        damaged[at] = static_cast<char>(damaged[at] ^ 0x11);
      }
      const auto read = decode_journal(damaged);
      ASSERT_GE(read.records.size(), 1U) << at;
      EXPECT_EQ(read.records[0], record(1));
      EXPECT_EQ(read.records.size(), 1U) << at;
      EXPECT_EQ(read.damage.empty(), damaged == first) << at;
    }
  }
}

TEST(LeaseJournal, IsOnDiskBeforePutReturnsAndGoneWithItsLastRecord) {
  const test::CgroupFixture fixture;
  const auto folder = *DirFd::open(fixture.runtime());
  LeaseJournal journal(folder, "boot-1");
  const std::vector records = {record(1), record(2)};
  ASSERT_TRUE(journal.put(records));
  EXPECT_EQ(load_journal(folder)->records, records);
  journal.forget(vm_number(1), test::kReadBytes);
  ASSERT_TRUE(journal.flush());
  EXPECT_EQ(load_journal(folder)->records, (std::vector{record(2)}));
  journal.forget(vm_number(2), test::kReadBytes);
  ASSERT_TRUE(journal.flush());
  EXPECT_FALSE(fixture.has_journal());
}

TEST(LeaseJournal, WhatCannotBeWrittenIsNotTaken) {
  const test::CgroupFixture fixture;
  const auto folder = *DirFd::open(fixture.runtime());
  LeaseJournal journal(folder, "boot-1");
  std::filesystem::create_directories(fixture.runtime() + "/limits.journal/x");
  EXPECT_FALSE(journal.put(std::vector{record(1)}));
  EXPECT_EQ(journal.find(vm_number(1), test::kReadBytes), nullptr);
}

TEST(LeaseJournal, RecordsOfAnotherBootAreNotAdopted) {
  const test::CgroupFixture fixture;
  const auto folder = *DirFd::open(fixture.runtime());
  LeaseJournal journal(folder, "boot-2");
  journal.adopt({"boot-1", {record(1)}, {}});
  EXPECT_EQ(journal.size(), 0U);
  journal.adopt({"boot-2", {record(1)}, {}});
  ASSERT_NE(journal.find(vm_number(1), test::kReadBytes), nullptr);
}

TEST(LeaseJournal, TheLockIsForOneRestorerOrManyWriters) {
  const test::CgroupFixture fixture;
  const auto folder = *DirFd::open(fixture.runtime());
  const auto one = lock_journal(folder, LOCK_SH | LOCK_NB);
  const auto two = lock_journal(folder, LOCK_SH | LOCK_NB);
  EXPECT_TRUE(one && two);
  const auto restorer = lock_journal(folder, LOCK_EX | LOCK_NB);
  ASSERT_FALSE(restorer);
  EXPECT_EQ(restorer.error().code, Errc::kUnavailable);
}

}  // namespace
}  // namespace hvguard::enforce
