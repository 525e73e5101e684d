#include "publish/to_proto_limit.h"

#include <set>

#include <gtest/gtest.h>

#include "publish/frame.h"

namespace hvguard::publish {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

const VmId kVm{4711, {Nanoseconds(1)}, {23}};
const LimitKey kReads{kVm, LimitKind::kReadBytes, {8, 0}};
const LimitKey kMemory{kVm, LimitKind::kMemoryHigh, {}};

template <class Enum>
void expect_one_to_one(const google::protobuf::EnumDescriptor& published, int enumerators) {
  std::set<int> seen;
  for (int i = 0; i < enumerators; ++i) {
    const int value = to_proto(static_cast<Enum>(i));
    EXPECT_NE(value, 0) << published.full_name() << " " << i;
    EXPECT_TRUE(seen.insert(value).second) << published.full_name() << " " << value << " twice";
    EXPECT_NE(published.FindValueByNumber(value), nullptr);
  }
}

TEST(LimitEnums, MapOneToOne) {
  expect_one_to_one<LimitKind>(*v1::Limit::Kind_descriptor(), kLimitKindCount);
  EXPECT_EQ(v1::Limit::Kind_descriptor()->value_count(), static_cast<int>(kLimitKindCount) + 1);
  expect_one_to_one<LimitOrigin>(*v1::Limit::Origin_descriptor(), 4);
  expect_one_to_one<OutcomeState>(*v1::Limit::State_descriptor(), 6);
  expect_one_to_one<LeverKind>(*v1::Limit::Lever_descriptor(), 2);
  expect_one_to_one<DecisionStep>(*v1::Decision::Step_descriptor(), 7);
  expect_one_to_one<LimitMode>(*v1::AgentStatus::Mode_descriptor(), 3);
}

// The names must say the same, so that no two values are swapped.
TEST(LimitEnums, NamesAgree) {
  EXPECT_EQ(to_proto(LimitKind::kWriteBytes), v1::Limit::KIND_WRITE_BYTES);
  EXPECT_EQ(to_proto(LimitKind::kSwapMax), v1::Limit::KIND_SWAP_MAX);
  EXPECT_EQ(to_proto(LimitKind::kCpuWeight), v1::Limit::KIND_CPU_WEIGHT);
  EXPECT_EQ(to_proto(LimitOrigin::kOperator), v1::Limit::ORIGIN_OPERATOR);
  EXPECT_EQ(to_proto(OutcomeState::kForeign), v1::Limit::STATE_FOREIGN);
  EXPECT_EQ(to_proto(DecisionStep::kLoosened), v1::Decision::STEP_LOOSENED);
  EXPECT_EQ(to_proto(LimitMode::kDryRun), v1::AgentStatus::MODE_DRY_RUN);
}

TEST(LimitEnums, ComeBackFromProto) {
  for (std::size_t i = 0; i < kLimitKindCount; ++i) {
    const auto kind = static_cast<LimitKind>(i);
    EXPECT_EQ(limit_kind_from_proto(to_proto(kind)), kind);
  }
  EXPECT_EQ(limit_kind_from_proto(v1::Limit::KIND_UNSPECIFIED), std::nullopt);
  EXPECT_EQ(limit_kind_from_proto(static_cast<v1::Limit::Kind>(99)), std::nullopt);
  EXPECT_EQ(limit_mode_from_proto(v1::AgentStatus::MODE_ENFORCE), LimitMode::kEnforce);
  EXPECT_EQ(limit_mode_from_proto(v1::AgentStatus::MODE_UNSPECIFIED), std::nullopt);
}

std::shared_ptr<const Snapshot> snapshot() {
  auto out = std::make_shared<Snapshot>();
  out->boot_time = {std::chrono::seconds(100)};
  out->wall_time = {std::chrono::seconds(1'000'000)};
  VmReading vm;
  vm.id = kVm;
  vm.identity.name = "web01";
  out->vms.push_back(vm);
  DeviceReading disk;
  disk.id = {8, 0};
  disk.name = "sda";
  out->devices.push_back(disk);
  return out;
}

v1::Limit only(const std::vector<Limit>& limits, const std::vector<Outcome>& outcomes) {
  TickResult result;
  result.snapshot = snapshot();
  result.limits = limits;
  result.outcomes = outcomes;
  const auto out = limits_to_proto(result, {});
  EXPECT_EQ(out.size(), 1U);
  return out.empty() ? v1::Limit() : out.front();
}

Limit wanted(std::uint64_t value = 40 * kMiB, bool dry_run = false) {
  return {.key = kReads,
          .value = value,
          .origin = LimitOrigin::kGuardRule,
          .dry_run = dry_run,
          .reason = "too\nmuch",
          .incident_id = "i1",
          .expire_time = BootTime{std::chrono::seconds(160)}};
}

Outcome known(OutcomeState state, std::uint64_t value = 40 * kMiB) {
  return {.key = kReads,
          .state = state,
          .lever = LeverKind::kCgroupfs,
          .wanted = value,
          .in_kernel = value,
          .since = {std::chrono::seconds(90)},
          .failed_attempts = 2,
          .detail = "d"};
}

TEST(Limits, CarryAllThatIsKnown) {
  const v1::Limit limit = only({wanted()}, {known(OutcomeState::kInForce)});
  EXPECT_EQ(limit.vm_id(), to_string(kVm));
  EXPECT_EQ(limit.vm_name(), "web01");
  EXPECT_EQ(limit.kind(), v1::Limit::KIND_READ_BYTES);
  EXPECT_EQ(limit.device().name(), "sda");
  EXPECT_EQ(limit.value(), 40 * kMiB);
  EXPECT_EQ(limit.origin(), v1::Limit::ORIGIN_GUARD_RULE);
  EXPECT_EQ(limit.reason(), "too\\x0amuch");
  EXPECT_EQ(limit.incident_id(), "i1");
  EXPECT_EQ(limit.expire_time().seconds(), 1'000'060);
  EXPECT_EQ(limit.state(), v1::Limit::STATE_IN_FORCE);
  EXPECT_EQ(limit.lever(), v1::Limit::LEVER_CGROUPFS);
  EXPECT_EQ(limit.in_kernel_value(), 40 * kMiB);
  EXPECT_EQ(limit.since_time().seconds(), 999'990);
  EXPECT_EQ(limit.failed_attempt_count(), 2U);
  EXPECT_EQ(limit.detail(), "d");
}

// Outcomes are from before the tick: what they say of another value is not said of this one.
TEST(Limits, StateSaysWhatIsWantedNow) {
  using State = v1::Limit;
  EXPECT_EQ(only({wanted()}, {}).state(), State::STATE_PENDING);
  EXPECT_EQ(only({wanted(20 * kMiB)}, {known(OutcomeState::kInForce)}).state(),
            State::STATE_PENDING);
  EXPECT_EQ(only({wanted()}, {known(OutcomeState::kReleased)}).state(), State::STATE_PENDING);
  EXPECT_EQ(only({wanted()}, {known(OutcomeState::kFailed)}).state(), State::STATE_FAILED);
  EXPECT_EQ(only({wanted()}, {known(OutcomeState::kDiffers)}).state(), State::STATE_DIFFERS);
  EXPECT_EQ(only({wanted()}, {known(OutcomeState::kForeign)}).state(), State::STATE_FOREIGN);
}

TEST(Limits, DryRunIsSaidOnlyWhenNothingIsInTheKernel) {
  using State = v1::Limit;
  EXPECT_EQ(only({wanted(1, true)}, {}).state(), State::STATE_DRY_RUN);
  EXPECT_EQ(only({wanted(1, true)}, {known(OutcomeState::kReleased)}).state(),
            State::STATE_DRY_RUN);
  const v1::Limit before = only({wanted(1, true)}, {known(OutcomeState::kInForce)});
  EXPECT_EQ(before.state(), State::STATE_PENDING);
  EXPECT_TRUE(before.dry_run());
  EXPECT_EQ(only({wanted(1, true)}, {known(OutcomeState::kFailed)}).state(), State::STATE_FAILED);
}

TEST(Limits, AnOutcomeAloneIsShownToo) {
  const v1::Limit going = only({}, {known(OutcomeState::kInForce)});
  EXPECT_EQ(going.state(), v1::Limit::STATE_PENDING);
  EXPECT_FALSE(going.has_value());
  EXPECT_EQ(going.origin(), v1::Limit::ORIGIN_UNSPECIFIED);
  EXPECT_EQ(only({}, {known(OutcomeState::kReleased)}).state(), v1::Limit::STATE_RELEASED);
  EXPECT_EQ(only({}, {known(OutcomeState::kForeign)}).state(), v1::Limit::STATE_FOREIGN);
}

TEST(Limits, AreJoinedByKeyAndCounted) {
  TickResult result;
  result.snapshot = snapshot();
  result.mode = LimitMode::kEnforce;
  Limit memory = wanted();
  memory.key = kMemory;
  memory.dry_run = true;
  Outcome pids = known(OutcomeState::kFailed);
  pids.key = {kVm, LimitKind::kPidsMax, {}};
  result.limits = {wanted(), memory};
  result.outcomes = {known(OutcomeState::kInForce), pids};
  const FrameContent content = frame_content(result, AgentFigures{}, 1, {});
  ASSERT_EQ(content.limits.size(), 3U);
  EXPECT_EQ(content.limits[1].kind(), v1::Limit::KIND_MEMORY_HIGH);
  EXPECT_FALSE(content.limits[1].has_device());
  EXPECT_EQ(content.limits[2].kind(), v1::Limit::KIND_PIDS_MAX);
  EXPECT_EQ(content.status.agent().mode(), v1::AgentStatus::MODE_ENFORCE);
  EXPECT_EQ(content.status.counts().limit_in_force_count(), 1U);
  EXPECT_EQ(content.status.counts().dry_run_limit_count(), 1U);
  EXPECT_EQ(content.status.counts().failed_limit_count(), 1U);
}

}  // namespace
}  // namespace hvguard::publish
