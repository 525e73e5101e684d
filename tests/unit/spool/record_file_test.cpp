#include "spool/record_file.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "temp_dir.h"

namespace hvguard::spool {
namespace {

v1::BootRecordFile sample() {
  v1::BootRecordFile record;
  record.mutable_this_boot()->set_state(v1::BootRecord::STATE_RUNNING);
  record.mutable_this_boot()->set_boot_id("6c1b3f0e-0000-4000-8000-000000000001");
  record.mutable_this_boot()->mutable_last_seen_time()->set_seconds(1'700'000'000);
  record.mutable_this_boot()->add_incidents()->set_summary("12 tasks wait for sda");
  record.mutable_previous_boot()->set_state(v1::BootRecord::STATE_SHUTDOWN);
  return record;
}

class RecordFileTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::string path() const { return dir.file("boot-record"); }
  [[nodiscard]] bool set_aside() const {
    return std::filesystem::exists(dir.file("boot-record.bad"));
  }
  void write(const std::string& bytes) const { std::ofstream(path()) << bytes; }
  [[nodiscard]] std::string read() const {
    std::ifstream file(path());
    return {std::istreambuf_iterator<char>(file), {}};
  }

  test::TempDir dir;
};

TEST_F(RecordFileTest, WhatIsStoredIsLoaded) {
  auto file = RecordFile::open(dir.path()).value();
  EXPECT_FALSE(file.load().record);
  EXPECT_EQ(file.load().damage, "") << "no record yet is no damage";
  ASSERT_TRUE(file.store(sample()));
  ASSERT_TRUE(file.store(sample())) << "over an earlier one";
  const LoadedRecord loaded = file.load();
  ASSERT_TRUE(loaded.record) << loaded.damage;
  EXPECT_EQ(loaded.record->SerializeAsString(), sample().SerializeAsString());
  EXPECT_FALSE(std::filesystem::exists(dir.file("boot-record.new")));
  struct stat info{};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0137U, 0U) << "its summaries name VMs";
}

TEST_F(RecordFileTest, TornAtAnyByteItIsSetAsideAndSaidSo) {
  const std::string whole = encode_record(sample());
  auto file = RecordFile::open(dir.path()).value();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write(whole.substr(0, size));
    std::filesystem::remove(dir.file("boot-record.bad"));
    const LoadedRecord loaded = file.load();
    EXPECT_FALSE(loaded.record) << size;
    EXPECT_NE(loaded.damage, "") << size;
    EXPECT_TRUE(set_aside()) << size;
    EXPECT_FALSE(std::filesystem::exists(path())) << size;
  }
}

TEST_F(RecordFileTest, AnyFlippedBitIsFound) {
  const std::string whole = encode_record(sample());
  for (std::size_t i = 0; i < whole.size() * 8; ++i) {
    std::string rotten = whole;
    rotten[i / 8] = static_cast<char>(static_cast<unsigned char>(rotten[i / 8]) ^ (1U << (i % 8)));
    EXPECT_FALSE(decode_record(rotten)) << "bit " << i;
  }
  EXPECT_FALSE(decode_record(whole + "x"));
}

TEST_F(RecordFileTest, AnotherLayoutIsSetAside) {
  std::string other = encode_record(sample());
  other[7] = '2';
  write(other);
  auto file = RecordFile::open(dir.path()).value();
  EXPECT_EQ(file.load().damage, "it is no record of this version's layout (now boot-record.bad)");
  EXPECT_EQ(file.load().damage, "") << "once";
}

// A field that a later version adds must not make its record unreadable for this one.
TEST_F(RecordFileTest, AnUnknownFieldIsNoDamage) {
  v1::BootRecordFile record = sample();
  auto& unknown = *record.mutable_this_boot()->GetReflection()->MutableUnknownFields(
      record.mutable_this_boot());
  unknown.AddVarint(900, 7);
  EXPECT_TRUE(decode_record(encode_record(record)));
}

TEST_F(RecordFileTest, WhatIsNoFileOrTooLargeIsSetAside) {
  auto file = RecordFile::open(dir.path()).value();
  std::filesystem::create_symlink("/etc/passwd", path());
  EXPECT_NE(file.load().damage, "");
  EXPECT_TRUE(set_aside());
  write(std::string(kMaxRecordBytes + 100, 'x'));
  EXPECT_NE(file.load().damage, "");
  std::filesystem::remove(dir.file("boot-record.bad"));
  std::filesystem::create_directory(path());
  EXPECT_NE(file.load().damage, "");
  EXPECT_TRUE(set_aside());
  EXPECT_TRUE(file.store(sample()));
}

TEST_F(RecordFileTest, ARecordThatCannotBeWrittenKeepsTheOldOne) {
  auto file = RecordFile::open(dir.path()).value();
  ASSERT_TRUE(file.store(sample()));
  const std::string before = read();
  std::filesystem::create_directory(dir.file("boot-record.new"));
  const auto stored = file.store(v1::BootRecordFile());
  ASSERT_FALSE(stored);
  EXPECT_EQ(stored.error().message, "create boot-record.new: Is a directory");
  EXPECT_EQ(read(), before);
}

TEST_F(RecordFileTest, OnlyOneKeepsItsRecordThere) {
  const auto first = RecordFile::open(dir.path());
  ASSERT_TRUE(first);
  const auto second = RecordFile::open(dir.path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kUnavailable);
  EXPECT_FALSE(RecordFile::open(dir.file("nowhere")));
}

}  // namespace
}  // namespace hvguard::spool
