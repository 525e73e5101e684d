// Commands that change something: what is asked for, and what is said of the answer.
#include "ctl/admin_commands.h"

#include <gtest/gtest.h>

#include "fake_backend.h"
#include "sample_frame.h"

namespace hvguard::ctl {
namespace {

using test::kSampleTime;

class AdminCommandsTest : public ::testing::Test {
 protected:
  int run_command(const Options& options) {
    Context context;
    context.out = [this](std::string_view text) {
      out += text;
      return true;
    };
    context.err = [this](std::string_view text) { err += text; };
    context.gateway = [this](const Options&) {
      return std::make_unique<FakeBackend>(
          mirror, error, [this](const v1::AdminCall& call) { return answer(call); });
    };
    context.direct = context.gateway;
    context.now = [] { return kSampleTime; };
    context.request_id = [] { return "r1"; };
    context.pause = [this](Nanoseconds) {
      ++pauses;
      if (pauses == 3) {
        reload_ends();
      }
    };
    context.restore_all = [this] {
      ++restores;
      return restored;
    };
    context.is_root = root;
    return run(options, context);
  }

  Result<v1::AdminReply> answer(const v1::AdminCall& call) {
    asked = call;
    v1::AdminReply reply;
    if (call.has_set_limit()) {
      v1::Limit& limit = *reply.mutable_set_limit()->mutable_limit();
      limit = test::sample_limit(1, kSampleTime);
      limit.set_value(call.set_limit().value());
      reply.mutable_set_limit()->set_note("the baseline is tighter");
    } else if (call.has_release_limit()) {
      *reply.mutable_release_limit()->add_limits() = test::sample_limit(3, kSampleTime);
      reply.mutable_release_limit()->set_limit_count(1);
    } else if (call.has_set_mode()) {
      reply.mutable_set_mode()->set_mode(call.set_mode().mode());
    } else if (call.has_set_cordon()) {
      reply.mutable_set_cordon()->set_cordoned(call.set_cordon().cordoned());
    } else if (call.has_acknowledge_incident()) {
      reply.mutable_acknowledge_incident()->mutable_incident()->set_incident_id(
          call.acknowledge_incident().incident_id());
    } else {
      reply.mutable_reload_config();
    }
    return reply;
  }

  void reload_ends() {
    link::Frame frame = test::sample_frame(13, kSampleTime);
    frame.status.mutable_agent()->set_reload_count(1);
    frame.status.mutable_agent()->set_reload_error(reload_error);
    mirror = link::build_mirror(std::move(frame), nullptr);
  }

  static Options set_limit() {
    Options options;
    options.command = Command::kLimitSet;
    options.subject = "vm02";
    options.limit_kind = "read_bytes";
    options.value = "40M";
    options.device = "nvme1n1";
    options.lease = "10m";
    options.reason = "noisy";
    return options;
  }

  std::shared_ptr<const link::Mirror> mirror =
      link::build_mirror(test::sample_frame(12, kSampleTime), nullptr);
  std::optional<Error> error;
  std::string reload_error;
  Result<> restored;
  bool root = true;
  v1::AdminCall asked;
  std::string out;
  std::string err;
  int pauses = 0;
  int restores = 0;
};

TEST_F(AdminCommandsTest, SetLimitFindsVmAndDeviceByName) {
  Options options = set_limit();
  options.dry_run = true;
  EXPECT_EQ(run_command(options), kExitOk) << err;
  const v1::SetLimitRequest& request = asked.set_limit();
  EXPECT_EQ(request.request_id(), "r1");
  EXPECT_EQ(request.reason(), "noisy");
  EXPECT_TRUE(request.validate_only());
  EXPECT_EQ(request.vm_id(), test::sample_vm(2, kSampleTime).vm_id());
  EXPECT_EQ(request.kind(), v1::Limit::KIND_READ_BYTES);
  EXPECT_EQ(request.device().major(), 259U);
  EXPECT_EQ(request.device().minor(), 1U);
  EXPECT_EQ(request.value(), std::uint64_t{40} << 20);
  EXPECT_EQ(request.lease_duration().seconds(), 600);
  EXPECT_TRUE(out.starts_with("valid, nothing was changed; it would be: io.max rbps")) << out;
  EXPECT_TRUE(out.ends_with("the baseline is tighter\n")) << out;
}

TEST_F(AdminCommandsTest, ADeviceMayBeANumber) {
  Options options = set_limit();
  options.device = "259:0";
  EXPECT_EQ(run_command(options), kExitOk) << err;
  EXPECT_EQ(asked.set_limit().device().name(), "nvme0n1");
}

TEST_F(AdminCommandsTest, WhatIsWrongIsSaidBeforeAnythingIsAsked) {
  const auto wrong = [&](auto spoil, int code, const std::string& naming) {
    Options options = set_limit();
    spoil(options);
    err.clear();
    EXPECT_EQ(run_command(options), code) << naming;
    EXPECT_NE(err.find(naming), std::string::npos) << err;
    EXPECT_FALSE(asked.has_set_limit());
  };
  wrong([](Options& o) { o.subject = "nosuch"; }, kExitNotFound, "`hvguardctl vms` lists them");
  wrong([](Options& o) { o.device = "sdz"; }, kExitNotFound, "it has nvme0n1, nvme1n1");
  wrong([](Options& o) { o.device = ""; }, kExitUsage, "give --device");
  wrong([](Options& o) { o.value = "much"; }, kExitUsage, "'much' is no value of read_bytes");
  wrong([](Options& o) { o.lease = "ever"; }, kExitUsage, "--for 'ever' is no time");
}

TEST_F(AdminCommandsTest, ErrorsOfTheGuardBecomeExitCodes) {
  for (const auto& [code, wanted] :
       std::vector<std::pair<Errc, int>>{{Errc::kNotFound, kExitNotFound},
                                         {Errc::kDenied, kExitDenied},
                                         {Errc::kInvalid, kExitUsage},
                                         {Errc::kUnavailable, kExitUnreachable},
                                         {Errc::kTimeout, kExitUnreachable},
                                         {Errc::kExhausted, kExitFailed}}) {
    error = Error{code, 0, "why"};
    Options options;
    options.command = Command::kCordon;
    err.clear();
    EXPECT_EQ(run_command(options), wanted);
    EXPECT_EQ(err, "hvguardctl: why\n");
  }
}

TEST_F(AdminCommandsTest, ReleaseShowsWhatGoes) {
  Options options;
  options.command = Command::kLimitRelease;
  options.subject = "vm01";
  options.reason = "over";
  EXPECT_EQ(run_command(options), kExitOk) << err;
  EXPECT_EQ(asked.release_limit().kind(), v1::Limit::KIND_UNSPECIFIED);
  EXPECT_TRUE(out.starts_with("1 limit goes\nVM ")) << out;
}

TEST_F(AdminCommandsTest, ModeCordonAndAck) {
  Options options;
  options.command = Command::kMode;
  options.subject = "dry_run";
  EXPECT_EQ(run_command(options), kExitOk);
  EXPECT_EQ(asked.set_mode().mode(), v1::AgentStatus::MODE_DRY_RUN);
  EXPECT_FALSE(asked.set_mode().as_configured());
  EXPECT_EQ(out, "mode dry_run\n");
  options.subject = "configured";
  EXPECT_EQ(run_command(options), kExitOk);
  EXPECT_TRUE(asked.set_mode().as_configured());
  options.command = Command::kCordon;
  EXPECT_EQ(run_command(options), kExitOk);
  EXPECT_TRUE(asked.set_cordon().cordoned());
  options.command = Command::kUncordon;
  EXPECT_EQ(run_command(options), kExitOk);
  EXPECT_TRUE(asked.set_cordon().has_cordoned());
  EXPECT_FALSE(asked.set_cordon().cordoned());
  options.command = Command::kAck;
  options.subject = "1a2b0007";
  EXPECT_EQ(run_command(options), kExitOk);
  EXPECT_EQ(asked.acknowledge_incident().incident_id(), "1a2b0007");
  options.subject = "ffff";
  EXPECT_EQ(run_command(options), kExitNotFound);
}

TEST_F(AdminCommandsTest, ModeAloneOnlyAsks) {
  Options options;
  options.command = Command::kMode;
  EXPECT_EQ(run_command(options), kExitOk);
  EXPECT_EQ(out, "mode observe: 1 limits in force, 1 only said, 1 failed\n");
  EXPECT_EQ(asked.kind_case(), v1::AdminCall::KIND_NOT_SET);
}

TEST_F(AdminCommandsTest, ReloadWaitsForHowItWent) {
  Options options;
  options.command = Command::kReload;
  EXPECT_EQ(run_command(options), kExitOk) << err;
  EXPECT_EQ(out, "configuration reloaded\n");
  EXPECT_EQ(pauses, 3);
}

TEST_F(AdminCommandsTest, ARefusedReloadIsAFailure) {
  reload_error = "hvguard.toml:3:1: no such key";
  Options options;
  options.command = Command::kReload;
  EXPECT_EQ(run_command(options), kExitFailed);
  EXPECT_NE(err.find("hvguard.toml:3:1: no such key"), std::string::npos) << err;
}

TEST_F(AdminCommandsTest, AReloadWithoutEndIsNotWaitedForForEver) {
  pauses = 100;
  Options options;
  options.command = Command::kReload;
  EXPECT_EQ(run_command(options), kExitUnreachable);
}

TEST_F(AdminCommandsTest, JsonIsTheResponse) {
  Options options;
  options.command = Command::kUncordon;
  options.json = true;
  EXPECT_EQ(run_command(options), kExitOk);
  EXPECT_NE(out.find("\"cordoned\": false"), std::string::npos) << out;
}

TEST_F(AdminCommandsTest, ReleaseAllNeedsRootAndTheHelper) {
  Options options;
  options.command = Command::kReleaseAll;
  EXPECT_EQ(run_command(options), kExitOk);
  EXPECT_EQ(restores, 1);
  restored = fail(Errc::kNotFound, "hvguard-limits is not there");
  EXPECT_EQ(run_command(options), kExitNotFound);
  EXPECT_EQ(err, "hvguardctl: hvguard-limits is not there\n");
  root = false;
  EXPECT_EQ(run_command(options), kExitDenied);
  EXPECT_EQ(restores, 2);
}

}  // namespace
}  // namespace hvguard::ctl
