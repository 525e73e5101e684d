#include "decide/conditions.h"

#include <gtest/gtest.h>

#include "host/host.h"

namespace hvguard {
namespace {

using std::chrono::seconds;

class Conditions {
 public:
  std::vector<Condition> tick() {
    host_.advance(seconds(1));
    snapshot_ = host_.snapshot();
    return evaluate_conditions(state_,
                               {.now = snapshot_->boot_time,
                                .interval = seconds(1),
                                .snapshot = late ? nullptr : snapshot_.get(),
                                .facts = late ? nullptr : &facts,
                                .blind = &blind,
                                .incidents = &incidents});
  }
  Condition tick(ConditionKind kind) { return tick().at(static_cast<std::size_t>(kind)); }
  void open(IncidentKind kind, Severity severity) {
    Incident incident;
    incident.kind = kind;
    incident.severity = severity;
    incident.summary = "trouble";
    incidents.push_back(incident);
  }

  Facts facts;
  HeldKinds blind{};
  std::vector<Incident> incidents;
  bool late = false;

 private:
  test::Host host_;
  std::shared_ptr<const Snapshot> snapshot_;
  ConditionsState state_;
};

TEST(Conditions, EveryKindIsThereInItsOrder) {
  Conditions conditions;
  const auto all = conditions.tick();
  ASSERT_EQ(all.size(), kConditionKindCount);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(static_cast<std::size_t>(all[i].kind), i);
    EXPECT_FALSE(all[i].reason.empty());
  }
}

TEST(Conditions, WhatNobodyWatchesIsUnknown) {
  Conditions conditions;
  for (const auto kind : {
           ConditionKind::kSwapStorm,
           ConditionKind::kVmZombies,
           ConditionKind::kUnitsUnhealthy,
       }) {
    const Condition condition = conditions.tick(kind);
    EXPECT_EQ(condition.state, ConditionState::kUnknown);
    EXPECT_EQ(condition.reason, "NotWatched");
  }
}

TEST(Conditions, PressureHasHysteresisAndMemory) {
  Conditions conditions;
  const auto state = [&](std::optional<double> ratio) {
    conditions.facts.host.io_full_ratio = ratio;
    return conditions.tick(ConditionKind::kIoPressure).state;
  };
  EXPECT_EQ(state(std::nullopt), ConditionState::kUnknown);
  EXPECT_EQ(state(0.9), ConditionState::kFalse);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(state(0.9), ConditionState::kFalse);
  }
  EXPECT_EQ(state(0.9), ConditionState::kTrue);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(state(0.3), ConditionState::kTrue);  // between the bounds
  }
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(state(0.1), ConditionState::kTrue);
  }
  EXPECT_EQ(state(0.1), ConditionState::kFalse);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(state(std::nullopt), ConditionState::kFalse);
  }
  EXPECT_EQ(state(std::nullopt), ConditionState::kUnknown);
}

TEST(Conditions, AnIoStallIsPressureEvenIfPsiIsLow) {
  Conditions conditions;
  conditions.facts.host.io_full_ratio = 0;
  conditions.open(IncidentKind::kIoStall, Severity::kCritical);
  EXPECT_EQ(conditions.tick(ConditionKind::kIoPressure).reason, "IoStall");
  conditions.blind.fill(true);
  EXPECT_EQ(conditions.tick(ConditionKind::kIoPressure).state, ConditionState::kUnknown);
}

TEST(Conditions, ContentionIsPressureEvenIfPsiIsLow) {
  Conditions conditions;
  conditions.facts.host.io_full_ratio = 0;
  conditions.open(IncidentKind::kIoContention, Severity::kWarning);
  const Condition pressed = conditions.tick(ConditionKind::kIoPressure);
  EXPECT_EQ(pressed.state, ConditionState::kTrue);
  EXPECT_EQ(pressed.reason, "IoContention");
  EXPECT_EQ(pressed.message, "trouble");
  conditions.blind.at(static_cast<std::size_t>(IncidentKind::kIoContention)) = true;
  const Condition unknown = conditions.tick(ConditionKind::kIoPressure);
  EXPECT_EQ(unknown.state, ConditionState::kUnknown);
  EXPECT_NE(unknown.message.find("contention"), std::string::npos);
  // A stall is the worse news, and known.
  conditions.open(IncidentKind::kIoStall, Severity::kCritical);
  EXPECT_EQ(conditions.tick(ConditionKind::kIoPressure).reason, "IoStall");
  conditions.incidents.clear();
  EXPECT_EQ(conditions.tick(ConditionKind::kIoPressure).state, ConditionState::kFalse);
}

TEST(Conditions, BlindKindsAreUnknownThoughIncidentsAreOpen) {
  Conditions conditions;
  EXPECT_EQ(conditions.tick(ConditionKind::kHungTasks).state, ConditionState::kFalse);
  conditions.open(IncidentKind::kHungTask, Severity::kWarning);
  EXPECT_EQ(conditions.tick(ConditionKind::kHungTasks).state, ConditionState::kTrue);
  conditions.blind.fill(true);
  EXPECT_EQ(conditions.tick(ConditionKind::kHungTasks).state, ConditionState::kUnknown);
}

TEST(Conditions, TransitionsAreTimed) {
  Conditions conditions;
  const Condition first = conditions.tick(ConditionKind::kHungTasks);
  const Condition second = conditions.tick(ConditionKind::kHungTasks);
  EXPECT_EQ(first.last_transition, second.last_transition);
  conditions.open(IncidentKind::kHungTask, Severity::kWarning);
  EXPECT_GT(conditions.tick(ConditionKind::kHungTasks).last_transition, second.last_transition);
}

TEST(Conditions, DegradedIsNotBlind) {
  Conditions conditions;
  conditions.open(IncidentKind::kAgentBlind, Severity::kInfo);
  EXPECT_EQ(conditions.tick(ConditionKind::kAgentBlind).state, ConditionState::kFalse);
  conditions.open(IncidentKind::kAgentBlind, Severity::kWarning);
  EXPECT_EQ(conditions.tick(ConditionKind::kAgentBlind).state, ConditionState::kTrue);
}

Schedulable advice(Conditions& conditions) {
  conditions.facts.host.io_full_ratio = conditions.facts.host.io_full_ratio.value_or(0);
  conditions.facts.host.memory_full_ratio = 0;
  return advise_schedule(conditions.tick(), conditions.incidents).schedulable;
}

TEST(Advice, GoesFromYesOverNoToDrain) {
  Conditions conditions;
  EXPECT_EQ(advice(conditions), Schedulable::kYes);
  conditions.open(IncidentKind::kHungTask, Severity::kWarning);
  EXPECT_EQ(advice(conditions), Schedulable::kYes);
  conditions.open(IncidentKind::kHungTask, Severity::kCritical);
  EXPECT_EQ(advice(conditions), Schedulable::kNo);
  conditions.open(IncidentKind::kPanicForecast, Severity::kWarning);
  EXPECT_EQ(advice(conditions), Schedulable::kNo);  // only an upper bound
  conditions.open(IncidentKind::kPanicForecast, Severity::kCritical);
  EXPECT_EQ(advice(conditions), Schedulable::kDrainAdvised);
  conditions.incidents.clear();
  conditions.late = true;
  EXPECT_EQ(advice(conditions), Schedulable::kUnknown);
}

}  // namespace
}  // namespace hvguard
