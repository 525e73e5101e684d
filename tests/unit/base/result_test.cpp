#include "base/result.h"

#include <cerrno>
#include <memory>

#include <gtest/gtest.h>

namespace hvguard {
namespace {

Result<std::unique_ptr<int>> give(bool well) {
  if (well) {
    return std::make_unique<int>(7);
  }
  return fail(Errc::kDenied, "no");
}

TEST(ResultTest, CarriesMoveOnlyValuesAndErrors) {
  const auto good = give(true);
  ASSERT_TRUE(good.has_value());
  EXPECT_EQ(**good, 7);
  const auto bad = give(false);
  ASSERT_FALSE(bad.has_value());
  EXPECT_EQ(bad.error().code, Errc::kDenied);
}

TEST(ResultTest, MessagesReadOutermostFirst) {
  Result<> result = fail_errno(EACCES, "set io.max on 254:0");
  ASSERT_FALSE(result.has_value());
  const Error error = std::move(result.error()).context("limit vm-17");
  EXPECT_EQ(error.message, "limit vm-17: set io.max on 254:0: Permission denied");
  EXPECT_EQ(error.code, Errc::kDenied);
  EXPECT_EQ(error.sys_errno, EACCES);
}

TEST(ResultTest, VanishedThingsAreGone) {
  for (const int code : {ENOENT, ESRCH, ENODEV}) {
    EXPECT_EQ(errc_from_errno(code), Errc::kGone) << code;
  }
  EXPECT_EQ(errc_from_errno(EPERM), Errc::kDenied);
  EXPECT_EQ(errc_from_errno(EMFILE), Errc::kExhausted);
  EXPECT_EQ(errc_from_errno(EOPNOTSUPP), Errc::kUnsupported);
  EXPECT_EQ(errc_from_errno(EIO), Errc::kInternal);
  EXPECT_EQ(errc_from_errno(123456), Errc::kInternal);
}

TEST(ResultTest, EveryCodeHasAName) {
  for (int i = 0; i <= static_cast<int>(Errc::kInternal); ++i) {
    EXPECT_FALSE(to_string(static_cast<Errc>(i)).empty());
  }
}

}  // namespace
}  // namespace hvguard
