#include "enforce/limit_files.h"

#include <gtest/gtest.h>

namespace hvguard::enforce {
namespace {

constexpr DeviceId kDisk{254, 16};

SettingKey io(LimitKind kind) {
  return {kind, kDisk};
}

SettingKey plain(LimitKind kind) {
  return {kind, {}};
}

constexpr std::string_view kIoMax =
    "8:0 rbps=max wbps=1048576 riops=max wiops=max\n"
    "254:16 rbps=20971520 wbps=max riops=300 wiops=max\n";

TEST(LimitFiles, OneKeyOfIoMaxIsSetAndTheOtherThreeAreKept) {
  const std::string text = format_setting(kIoMax, io(LimitKind::kWriteBytes), 4096);
  EXPECT_EQ(text, "254:16 rbps=20971520 riops=300 wbps=4096 wiops=max");
  EXPECT_EQ(*parse_setting(text, io(LimitKind::kReadBytes)), SettingValue(20971520));
  EXPECT_EQ(*parse_setting(text, io(LimitKind::kWriteBytes)), SettingValue(4096));
  EXPECT_EQ(*parse_setting(text, io(LimitKind::kWriteOperations)), std::nullopt);
}

TEST(LimitFiles, ADeviceWithoutALineHasNoLimit) {
  EXPECT_EQ(*parse_setting("", io(LimitKind::kReadBytes)), std::nullopt);
  EXPECT_EQ(*parse_setting("8:0 rbps=5\n", io(LimitKind::kReadBytes)), std::nullopt);
  EXPECT_EQ(format_setting("", io(LimitKind::kReadBytes), 5),
            "254:16 rbps=5 riops=max wbps=max wiops=max");
}

TEST(LimitFiles, WeightsHaveADefaultLineAndKeepTheirs) {
  EXPECT_EQ(*parse_setting("default 250\n8:0 10\n", plain(LimitKind::kIoWeight)),
            SettingValue(250));
  EXPECT_EQ(*parse_setting("100\n", plain(LimitKind::kCpuWeight)), SettingValue(100));
  EXPECT_EQ(format_setting("default 100\n", plain(LimitKind::kIoWeight), 50), "default 50");
  EXPECT_EQ(format_setting("100\n", plain(LimitKind::kCpuWeight), 50), "50");
  EXPECT_FALSE(parse_setting("", plain(LimitKind::kIoWeight)));
}

TEST(LimitFiles, CpuMaxIsMicrosecondsInASecondAndKeepsItsPeriod) {
  EXPECT_EQ(*parse_setting("max 100000\n", plain(LimitKind::kCpuMax)), std::nullopt);
  EXPECT_EQ(*parse_setting("50000 100000\n", plain(LimitKind::kCpuMax)), SettingValue(500'000));
  EXPECT_EQ(*parse_setting("10000 30000\n", plain(LimitKind::kCpuMax)), SettingValue(333'333));
  EXPECT_EQ(format_setting("max 30000\n", plain(LimitKind::kCpuMax), 333'333), "10000 30000");
  EXPECT_EQ(format_setting("junk", plain(LimitKind::kCpuMax), 500'000), "50000 100000");
  EXPECT_EQ(format_setting("5 20000", plain(LimitKind::kCpuMax), std::nullopt), "max 20000");
}

TEST(LimitFiles, MemoryIsANumberOrMax) {
  EXPECT_EQ(*parse_setting("max\n", plain(LimitKind::kMemoryHigh)), std::nullopt);
  EXPECT_EQ(*parse_setting("4096\n", plain(LimitKind::kMemoryMax)), SettingValue(4096));
  EXPECT_EQ(*parse_setting("max\n", plain(LimitKind::kMemoryLow)), SettingValue(UINT64_MAX));
  EXPECT_EQ(format_setting("", plain(LimitKind::kMemoryLow), UINT64_MAX), "max");
  EXPECT_EQ(format_setting("", plain(LimitKind::kMemoryLow), std::nullopt), "0");
  EXPECT_EQ(format_setting("", plain(LimitKind::kSwapMax), std::nullopt), "max");
  EXPECT_FALSE(parse_setting("-1\n", plain(LimitKind::kPidsMax)));
}

TEST(LimitFiles, WhatTheKernelRoundsIsTheSame) {
  EXPECT_TRUE(same_value(LimitKind::kMemoryHigh, 1'000'001, 999'424)) << "whole pages";
  EXPECT_FALSE(same_value(LimitKind::kMemoryHigh, 2'000'000, 999'424));
  EXPECT_TRUE(same_value(LimitKind::kCpuMax, 333'333, 333'330));
  EXPECT_FALSE(same_value(LimitKind::kReadBytes, 4096, 4097));
  EXPECT_FALSE(same_value(LimitKind::kMemoryHigh, 0, std::nullopt)) << "no limit is not zero";
}

TEST(LimitFiles, WhatTheKernelWouldRefuseIsSaidBefore) {
  for (const Setting& wrong : {Setting{io(LimitKind::kReadBytes), 1},
                               Setting{io(LimitKind::kReadBytes), 0},
                               Setting{plain(LimitKind::kReadBytes), 4096},
                               Setting{io(LimitKind::kMemoryHigh), 1 << 30},
                               Setting{plain(LimitKind::kIoWeight), 0},
                               Setting{plain(LimitKind::kIoWeight), 10'001},
                               Setting{plain(LimitKind::kIoWeight), std::nullopt},
                               Setting{plain(LimitKind::kMemoryHigh), 0},
                               Setting{plain(LimitKind::kPidsMax), 0},
                               Setting{plain(LimitKind::kCpuMax), 100}}) {
    EXPECT_FALSE(check_setting(wrong)) << to_string(wrong.key.kind);
  }
  EXPECT_TRUE(check_setting({io(LimitKind::kReadBytes), 16 << 20}));
  EXPECT_TRUE(check_setting({plain(LimitKind::kSwapMax), 0}));
}

TEST(LimitFiles, LinesOfIoMaxAreBounded) {
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    text += "8:" + std::to_string(i) + " rbps=5 wbps=max\nrubbish\n";
  }
  EXPECT_EQ(parse_io_max(text).size(), kMaxIoMaxLines);
}

}  // namespace
}  // namespace hvguard::enforce
