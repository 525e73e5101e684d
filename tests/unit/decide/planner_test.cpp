// The pipeline with its planner on a made-up host: three VMs on one disk, one of which reads as
// fast as it may, and a disk that has time for all of them only when it does not.
#include "decide/planner.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "decide/pipeline.h"
#include "host/host.h"

namespace hvguard {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::Host;
using test::IoLoad;

const DeviceId kDisk{8, 0};
constexpr double kNoisyReads = 40'000;  // in a second, of 4 KiB each
constexpr double kTooMuch = 30'000;     // from here on all others wait

class Story {
 public:
  Config config;
  Host host;
  VmId noisy = host.add_vm("noisy", 43);
  VmId modest = host.add_vm("modest", 42);
  VmId quiet = host.add_vm("quiet", 41);
  bool modest_runs = true;
  TickResult last;
  std::vector<Decision> decisions;

  explicit Story(LimitMode mode) {
    config.policy.mode = mode;
    for (Pid pid = 50; pid < 55; ++pid) {  // a quarter of all may be limited at once
      host.add_vm("idle", pid);
    }
    config.policy.classes = {VmClass{
        .name = "all", .match = {}, .mode = std::nullopt, .is_protected = false, .baseline = {}}};
    DeviceReading disk;
    disk.id = kDisk;
    disk.name = "sda";
    host.devices() = {disk};
  }

  // What it may read, by the limits that are meant.
  double allowed() const {
    double most = kNoisyReads;
    for (const Limit& limit : last.limits) {
      if (limit.key.vm != noisy || limit.dry_run) {
        continue;
      }
      const auto value = static_cast<double>(limit.value);
      most = std::min(most, limit.key.kind == LimitKind::kReadBytes ? value / 4096 : value);
    }
    return most;
  }
  void tick(int count = 1) {
    for (int i = 0; i < count; ++i) {
      const double reads = allowed();
      const auto wait = reads >= kTooMuch ? milliseconds(400) : milliseconds(3);
      host.set_load(
          noisy,
          kDisk,
          IoOperation::kRead,
          IoLoad{.per_second = reads, .queue_time = wait, .device_time = milliseconds(2)});
      host.set_load(modest,
                    kDisk,
                    IoOperation::kRead,
                    IoLoad{.per_second = modest_runs ? 50.0 : 0.0,
                           .queue_time = wait,
                           .device_time = milliseconds(2)});
      host.advance(seconds(1));
      last = pipeline().step(host.snapshot());
      decisions.insert(decisions.end(), last.decisions.begin(), last.decisions.end());
    }
  }
  Pipeline& pipeline() {
    if (!pipeline_) {
      pipeline_.emplace(
          config,
          OwnPlace{.cgroup_path = "/system.slice/hvguardd.service", .unit = "hvguardd.service"});
    }
    return *pipeline_;
  }
  bool decided(DecisionStep step) const {
    return std::any_of(decisions.begin(), decisions.end(), [&](const Decision& decision) {
      return decision.step == step;
    });
  }
  const Incident* contention() const {
    for (const Incident& incident : last.incidents) {
      if (incident.kind == IncidentKind::kIoContention) {
        return &incident;
      }
    }
    return nullptr;
  }
  ConditionState condition(ConditionKind kind) const {
    return last.conditions.at(static_cast<std::size_t>(kind)).state;
  }
  // Until limits hold; false if they never do.
  bool limited_within(int ticks) {
    for (int i = 0; i < ticks && last.limits.empty(); ++i) {
      tick();
    }
    return !last.limits.empty();
  }

  AdminRequest ask(AdminAction action) {
    AdminRequest request;
    request.request_id = "r" + std::to_string(++asked_);
    request.who = "uid 0, pid 1";
    request.reason = "a test";
    request.action = std::move(action);
    return request;
  }
  Result<AdminAnswer> set(const VmId& vm,
                          LimitKind kind,
                          std::uint64_t value,
                          Nanoseconds lease = seconds(30)) {
    const DeviceId device = is_per_device(kind) ? kDisk : DeviceId{};
    return pipeline().request(ask(SetLimitAction{
        .key = {.vm = vm, .kind = kind, .device = device}, .value = value, .lease = lease}));
  }

 private:
  std::optional<Pipeline> pipeline_;
  int asked_ = 0;
};

TEST(Planner, ObservingWantsNothing) {
  Story story(LimitMode::kObserve);
  story.tick(60);
  ASSERT_TRUE(story.contention());
  EXPECT_TRUE(story.last.limits.empty());
  EXPECT_TRUE(story.decisions.empty());
  EXPECT_EQ(story.last.mode, LimitMode::kObserve);
  EXPECT_EQ(story.condition(ConditionKind::kThrottling), ConditionState::kFalse);
}

TEST(Planner, WhoTakesTheDisksTimeIsLimitedUntilItIsCalm) {
  Story story(LimitMode::kEnforce);
  ASSERT_TRUE(story.limited_within(15));
  ASSERT_EQ(story.last.limits.size(), 2U);
  const Limit bytes = story.last.limits[0];
  EXPECT_EQ(bytes.key, (LimitKey{story.noisy, LimitKind::kReadBytes, kDisk}));
  EXPECT_EQ(story.last.limits[1].key, (LimitKey{story.noisy, LimitKind::kReadOperations, kDisk}));
  EXPECT_NEAR(static_cast<double>(bytes.value), kNoisyReads * 4096 / 2, 2e6);
  EXPECT_EQ(bytes.origin, LimitOrigin::kGuardRule);
  EXPECT_FALSE(bytes.dry_run);
  ASSERT_TRUE(story.contention());
  EXPECT_EQ(bytes.incident_id, story.contention()->id);
  EXPECT_TRUE(story.contention()->decide_time);
  EXPECT_EQ(bytes.expire_time, story.host.now() + story.config.policy.safety.lease);
  EXPECT_EQ(story.condition(ConditionKind::kThrottling), ConditionState::kTrue);
  EXPECT_TRUE(story.decided(DecisionStep::kSet));
  EXPECT_NE(story.decisions[0].reason.find("noisy"), std::string::npos)
      << story.decisions[0].reason;

  // The disk has time for 30 000 reads in a second: most of that is used, and nobody waits long.
  double used = 0;
  for (int i = 0; i < 40; ++i) {
    story.tick();
    used += story.allowed() / 40;
  }
  EXPECT_GT(used, 0.8 * kTooMuch);

  story.modest_runs = false;  // nobody is left to wait
  story.tick(200);
  EXPECT_TRUE(story.last.limits.empty());
  EXPECT_TRUE(story.decided(DecisionStep::kRemoved));
  EXPECT_EQ(story.condition(ConditionKind::kThrottling), ConditionState::kFalse);
}

TEST(Planner, ADryRunSaysTheSameAndKeepsSayingIt) {
  Story story(LimitMode::kDryRun);
  ASSERT_TRUE(story.limited_within(15));
  const auto said = story.last.limits;
  EXPECT_TRUE(said[0].dry_run);
  EXPECT_NEAR(static_cast<double>(said[0].value), kNoisyReads * 4096 / 2, 2e6);
  story.tick(60);
  ASSERT_EQ(story.last.limits.size(), said.size());
  EXPECT_EQ(story.last.limits[0].value, said[0].value);
  EXPECT_FALSE(story.decided(DecisionStep::kIneffective));
  EXPECT_TRUE(std::all_of(
      story.decisions.begin(), story.decisions.end(), [](const auto& one) { return one.dry_run; }));
  EXPECT_EQ(story.condition(ConditionKind::kThrottling), ConditionState::kFalse);
}

TEST(Planner, TheProtectedAreNotLimitedAndThatIsSaid) {
  Story story(LimitMode::kEnforce);
  story.config.policy.protected_vms = {"noi*"};
  story.tick(30);
  EXPECT_TRUE(story.last.limits.empty());
  EXPECT_TRUE(story.decided(DecisionStep::kNoLever));
}

TEST(Planner, AClassThatOnlyObservesIsLeftAlone) {
  Story story(LimitMode::kEnforce);
  story.config.policy.classes[0].mode = LimitMode::kObserve;
  story.tick(30);
  EXPECT_TRUE(story.last.limits.empty());
}

TEST(Planner, AVmThatIsToldToEndLosesItsLimitsAtOnce) {
  Story story(LimitMode::kEnforce);
  ASSERT_TRUE(story.limited_within(15));
  story.host.vm("noisy").stop_signal_time = story.host.now();
  story.tick();
  EXPECT_TRUE(story.last.limits.empty());
  story.tick(30);
  EXPECT_TRUE(story.last.limits.empty());
}

TEST(Planner, WithoutReadingsALimitEndsWithItsLease) {
  Story story(LimitMode::kEnforce);
  ASSERT_TRUE(story.limited_within(15));
  const BootTime lease = *story.last.limits[0].expire_time;
  const auto late = [&](BootTime now) {
    return story.pipeline().sampler_late(now, WallTime(), "block IO").limits.size();
  };
  EXPECT_EQ(late(lease - seconds(1)), 2U);
  EXPECT_EQ(late(lease), 0U);
}

TEST(Planner, ThePolicyFollowsAReload) {
  Story story(LimitMode::kEnforce);
  ASSERT_TRUE(story.limited_within(15));
  story.config.policy.mode = LimitMode::kObserve;
  story.pipeline().set_config(story.config);
  story.tick();
  EXPECT_TRUE(story.last.limits.empty());
  EXPECT_TRUE(story.decided(DecisionStep::kRemoved));
}

// ---- what people ask for

TEST(PlannerRequests, ALimitHoldsForItsTime) {
  Story story(LimitMode::kEnforce);
  story.tick();
  const auto answer = story.set(story.quiet, LimitKind::kReadBytes, 20'000'000);
  ASSERT_TRUE(answer) << answer.error().message;
  ASSERT_EQ(answer->limits.size(), 1U);
  EXPECT_EQ(answer->limits[0].origin, LimitOrigin::kOperator);
  story.tick();
  ASSERT_EQ(story.last.limits.size(), 1U);
  EXPECT_EQ(story.last.limits[0].key.vm, story.quiet);
  EXPECT_EQ(story.last.limits[0].value, 20'000'000U);
  EXPECT_NE(story.last.limits[0].reason.find("a test"), std::string::npos);
  story.tick(28);
  EXPECT_FALSE(story.last.limits.empty());
  story.tick(2);
  EXPECT_TRUE(std::none_of(story.last.limits.begin(), story.last.limits.end(), [&](auto& limit) {
    return limit.key.vm == story.quiet;
  }));
}

TEST(PlannerRequests, AskingAloneChangesNothing) {
  Story story(LimitMode::kEnforce);
  story.tick();
  AdminRequest request = story.ask(
      SetLimitAction{.key = {.vm = story.quiet, .kind = LimitKind::kReadBytes, .device = kDisk},
                     .value = 20'000'000,
                     .lease = seconds(30)});
  request.validate_only = true;
  EXPECT_TRUE(story.pipeline().request(request));
  story.tick();
  EXPECT_TRUE(story.last.limits.empty());
}

TEST(PlannerRequests, ALimitIsReleasedByWhoeverMayAndOnlySuchLimits) {
  Story story(LimitMode::kEnforce);
  ASSERT_TRUE(story.limited_within(15));
  ASSERT_TRUE(story.set(story.quiet, LimitKind::kReadBytes, 20'000'000));
  story.tick();
  const auto rule = story.pipeline().request(
      story.ask(ReleaseLimitAction{.vm = story.noisy, .key = std::nullopt}));
  ASSERT_FALSE(rule);
  EXPECT_EQ(rule.error().code, Errc::kNotFound);
  const auto own = story.pipeline().request(
      story.ask(ReleaseLimitAction{.vm = story.quiet, .key = std::nullopt}));
  ASSERT_TRUE(own);
  EXPECT_EQ(own->limits.size(), 1U);
  story.tick();
  EXPECT_TRUE(std::all_of(story.last.limits.begin(), story.last.limits.end(), [&](auto& limit) {
    return limit.key.vm == story.noisy;
  }));
}

TEST(PlannerRequests, BadOnesAreRefusedWithTheReason) {
  Story story(LimitMode::kEnforce);
  const auto early = story.set(story.quiet, LimitKind::kReadBytes, 20'000'000);
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().code, Errc::kUnavailable);
  story.tick();
  const auto code_of = [](const Result<AdminAnswer>& answer) {
    return answer ? std::optional<Errc>() : std::optional(answer.error().code);
  };
  EXPECT_EQ(code_of(story.set(story.quiet, LimitKind::kReadBytes, 1'000'000)), Errc::kInvalid);
  EXPECT_EQ(code_of(story.set(story.quiet, LimitKind::kReadOperations, 10)), Errc::kInvalid);
  EXPECT_EQ(code_of(story.set(story.quiet, LimitKind::kIoWeight, 0)), Errc::kInvalid);
  EXPECT_EQ(code_of(story.set(story.quiet, LimitKind::kCpuWeight, 10'001)), Errc::kInvalid);
  EXPECT_EQ(code_of(story.set(story.quiet, LimitKind::kReadBytes, 20'000'000, seconds(0))),
            Errc::kInvalid);
  EXPECT_EQ(code_of(story.set(story.quiet, LimitKind::kReadBytes, 20'000'000, seconds(86401))),
            Errc::kInvalid);
  EXPECT_EQ(code_of(story.set(
                VmId{.tgid = 9, .start = {}, .cgroup = {}}, LimitKind::kReadBytes, 20'000'000)),
            Errc::kNotFound);
  EXPECT_EQ(code_of(story.set(story.quiet, LimitKind::kWriteBytes, 20'000'000)), Errc::kDenied);
  const auto device = story.pipeline().request(story.ask(SetLimitAction{
      .key = {.vm = story.quiet, .kind = LimitKind::kReadBytes, .device = DeviceId{9, 9}},
      .value = 20'000'000,
      .lease = seconds(30)}));
  EXPECT_EQ(code_of(device), Errc::kNotFound);
  EXPECT_EQ(code_of(story.pipeline().request(
                story.ask(AcknowledgeIncidentAction{.incident_id = "none"}))),
            Errc::kNotFound);
  story.tick();
  EXPECT_TRUE(story.last.limits.empty());
}

TEST(PlannerRequests, NothingIsLimitedWhereTheHostOnlyObserves) {
  Story story(LimitMode::kObserve);
  story.tick();
  const auto refused = story.set(story.quiet, LimitKind::kReadBytes, 20'000'000);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kDenied);
  EXPECT_NE(refused.error().message.find("hvguardctl mode"), std::string::npos);

  ASSERT_TRUE(story.pipeline().request(story.ask(SetModeAction{.mode = LimitMode::kEnforce})));
  ASSERT_TRUE(story.set(story.quiet, LimitKind::kReadBytes, 20'000'000));
  story.tick();
  EXPECT_EQ(story.last.mode, LimitMode::kEnforce);
  EXPECT_EQ(story.last.limits.size(), 1U);
  ASSERT_TRUE(story.pipeline().request(story.ask(SetModeAction{.mode = std::nullopt})));
  story.tick();
  EXPECT_EQ(story.last.mode, LimitMode::kObserve);
  EXPECT_TRUE(story.last.limits.empty());
}

TEST(PlannerRequests, TheControlPlaneCannotGoBeyondTheConfiguredMode) {
  Story story(LimitMode::kDryRun);
  story.tick();
  AdminRequest request = story.ask(SetModeAction{.mode = LimitMode::kEnforce});
  request.origin = LimitOrigin::kControlPlane;
  const auto refused = story.pipeline().request(request);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kDenied);
  request.action = SetModeAction{.mode = LimitMode::kObserve};
  EXPECT_TRUE(story.pipeline().request(request));
}

TEST(PlannerRequests, ARequestThatIsSentAgainChangesNothingMore) {
  Story story(LimitMode::kEnforce);
  story.tick();
  const AdminRequest request = story.ask(
      SetLimitAction{.key = {.vm = story.quiet, .kind = LimitKind::kReadBytes, .device = kDisk},
                     .value = 20'000'000,
                     .lease = seconds(30)});
  const auto first = story.pipeline().request(request);
  story.tick(10);
  const auto again = story.pipeline().request(request);
  ASSERT_TRUE(first && again);
  EXPECT_EQ(again->limits, first->limits);  // the same end
}

TEST(PlannerRequests, ACordonIsAConditionAndAnAdvice) {
  Story story(LimitMode::kObserve);
  story.tick();
  EXPECT_EQ(story.condition(ConditionKind::kCordoned), ConditionState::kFalse);
  ASSERT_TRUE(story.pipeline().request(story.ask(SetCordonAction{.cordoned = true})));
  story.tick();
  EXPECT_EQ(story.condition(ConditionKind::kCordoned), ConditionState::kTrue);
  EXPECT_EQ(story.last.schedule_advice.schedulable, Schedulable::kNo);
  ASSERT_TRUE(story.pipeline().request(story.ask(SetCordonAction{.cordoned = false})));
  story.tick();
  EXPECT_EQ(story.condition(ConditionKind::kCordoned), ConditionState::kFalse);
}

}  // namespace
}  // namespace hvguard
