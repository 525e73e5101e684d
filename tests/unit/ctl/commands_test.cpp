// Commands with a captured screen and backends that fail as the test says.
#include "ctl/commands.h"

#include <gtest/gtest.h>

#include "fake_backend.h"
#include "sample_frame.h"

namespace hvguard::ctl {
namespace {

using test::kSampleTime;

class CommandsTest : public ::testing::Test {
 protected:
  int run_command(const Options& options) {
    Context context;
    context.out = [this](std::string_view text) {
      out += text;
      return writable;
    };
    context.err = [this](std::string_view text) { err += text; };
    context.gateway = [this](const Options&) {
      return std::make_unique<FakeBackend>(mirror, gateway_error);
    };
    context.direct = [this](const Options&) {
      ++direct_count;
      return std::make_unique<FakeBackend>(mirror, std::nullopt);
    };
    context.now = [this] { return now; };
    context.is_root = root;
    return run(options, context);
  }

  std::shared_ptr<const link::Mirror> mirror =
      link::build_mirror(test::sample_frame(12, kSampleTime, 2500), nullptr);
  std::optional<Error> gateway_error;
  WallTime now = kSampleTime;
  bool root = false;
  bool writable = true;
  std::string out;
  std::string err;
  int direct_count = 0;
};

TEST_F(CommandsTest, VmsGathersAllPages) {
  Options options;
  options.command = Command::kVms;
  EXPECT_EQ(run_command(options), kExitOk);
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 2501);
  EXPECT_EQ(err, "");
}

TEST_F(CommandsTest, ErrorsBecomeExitCodes) {
  Options options;
  options.command = Command::kVms;
  const std::vector<std::pair<Errc, int>> codes = {{Errc::kUnavailable, kExitUnreachable},
                                                   {Errc::kTimeout, kExitUnreachable},
                                                   {Errc::kDenied, kExitDenied},
                                                   {Errc::kNotFound, kExitNotFound},
                                                   {Errc::kExhausted, kExitFailed}};
  for (const auto& [code, wanted] : codes) {
    err.clear();
    gateway_error = Error{code, 0, "the reason"};
    EXPECT_EQ(run_command(options), wanted);
    EXPECT_EQ(err, "hvguardctl: the reason\n");
  }
}

TEST_F(CommandsTest, StatusOfRootFallsBackButOnlyWhenUnreachable) {
  const Options options;
  gateway_error = Error{Errc::kUnavailable, 0, "gateway is down"};
  EXPECT_EQ(run_command(options), kExitUnreachable);
  EXPECT_EQ(direct_count, 0);
  root = true;
  err.clear();
  EXPECT_EQ(run_command(options), kExitOk);
  EXPECT_EQ(direct_count, 1);
  EXPECT_EQ(err, "hvguardctl: gateway is down; asking hvguardd itself\n");
  gateway_error = Error{Errc::kDenied, 0, "no"};
  EXPECT_EQ(run_command(options), kExitDenied);
  EXPECT_EQ(direct_count, 1);
}

TEST_F(CommandsTest, StaleDataAreShownWithTheirOwnExitCode) {
  now = {kSampleTime.since_epoch + std::chrono::seconds(60)};
  EXPECT_EQ(run_command({}), kExitStale);
  EXPECT_NE(out.find("STALE"), std::string::npos);
  EXPECT_NE(err.find("hvguardd does not report"), std::string::npos);
}

TEST_F(CommandsTest, JsonHasFieldNamesOfTheApiAndStringsFor64Bits) {
  Options options;
  options.json = true;
  EXPECT_EQ(run_command(options), kExitOk);
  EXPECT_NE(out.find("\"tick_count\": \"12\""), std::string::npos);
  EXPECT_NE(out.find("\"dropped_count\": \"0\""), std::string::npos);
}

TEST_F(CommandsTest, AFullDiskOrClosedPipeIsAFailure) {
  writable = false;
  EXPECT_EQ(run_command({}), kExitFailed);
}

}  // namespace
}  // namespace hvguard::ctl
