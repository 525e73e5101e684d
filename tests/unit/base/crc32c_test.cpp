#include "base/crc32c.h"

#include <string>

#include <gtest/gtest.h>

namespace hvguard {
namespace {

// RFC 3720, appendix B.4, and the check value of the Rocksoft model.
TEST(Crc32c, GivesThePublishedValues) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43U);
  EXPECT_EQ(crc32c(""), 0U);
}

}  // namespace
}  // namespace hvguard
