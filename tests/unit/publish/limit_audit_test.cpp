#include <gtest/gtest.h>

#include "publish/journal.h"

namespace hvguard::publish {
namespace {

const VmId kVm{4711, {Nanoseconds(1)}, {23}};

Decision tightened() {
  Decision decision;
  decision.step = DecisionStep::kTightened;
  decision.vm = kVm;
  decision.kind = LimitKind::kReadBytes;
  decision.device = DeviceId{8, 0};
  decision.value = 41943040;
  decision.reason = "victims still wait";
  decision.incident_id = "i1";
  return decision;
}

TEST(LimitAudit, ADecisionTellsWhatAndWhy) {
  EXPECT_EQ(encode_audit(audit_record(tightened(), "web01")),
            "MESSAGE=tightened io.max rbps on 8:0 to 41943040 of VM web01: victims still wait\n"
            "MESSAGE_ID=2b7421b6f1334dcbad9000080724b099\n"
            "PRIORITY=5\n"
            "SYSLOG_IDENTIFIER=hvguardd\n"
            "HVGUARD_DECISION=tightened\n"
            "HVGUARD_DRY_RUN=0\n"
            "HVGUARD_REASON=victims still wait\n"
            "HVGUARD_VM=4711-1-23\n"
            "HVGUARD_LIMIT=io.max rbps\n"
            "HVGUARD_DEVICE=8:0\n"
            "HVGUARD_VALUE=41943040\n"
            "HVGUARD_INCIDENT=i1\n");
}

TEST(LimitAudit, DryRunAndNothingDoneAreSaid) {
  Decision decision = tightened();
  decision.dry_run = true;
  EXPECT_TRUE(audit_record(decision, "").message.starts_with("dry run: tightened"));
  Decision none;
  none.step = DecisionStep::kNoLever;
  none.device = DeviceId{8, 0};
  none.reason = "no VM stands out";
  const AuditRecord record = audit_record(none, "");
  EXPECT_EQ(record.message, "no_lever on 8:0: no VM stands out");
  EXPECT_EQ(record.priority, Priority::kWarning);
}

AdminRequest request() {
  AdminRequest out;
  out.request_id = "r1";
  out.who = "uid 0, pid 17, by uid 998, pid 8";
  out.reason = "noisy";
  out.action = SetLimitAction{{kVm, LimitKind::kMemoryHigh, {}}, 5, std::chrono::minutes(10)};
  return out;
}

TEST(LimitAudit, ARequestTellsWhoWhatAndWhy) {
  const AuditRecord done = audit_record(request(), AdminAnswer{});
  EXPECT_EQ(done.message,
            "uid 0, pid 17, by uid 998, pid 8 asked to set memory.high to 5 of VM 4711-1-23 for "
            "10 min 0 s (noisy): done");
  EXPECT_EQ(done.kind, AuditKind::kAdminDone);
  const AuditRecord refused =
      audit_record(request(), Result<AdminAnswer>(fail(Errc::kDenied, "mode is observe")));
  EXPECT_EQ(refused.kind, AuditKind::kAdminRefused);
  EXPECT_EQ(refused.priority, Priority::kWarning);
  EXPECT_TRUE(refused.message.ends_with("refused: mode is observe"));
}

TEST(LimitAudit, EveryActionHasWords) {
  AdminRequest asked = request();
  const std::vector<std::pair<AdminAction, std::string>> actions = {
      {ReleaseLimitAction{kVm, std::nullopt}, "release all limits of VM 4711-1-23"},
      {SetModeAction{LimitMode::kDryRun}, "set mode dry_run"},
      {SetModeAction{}, "set mode as configured"},
      {SetCordonAction{true}, "cordon the host"},
      {SetCordonAction{false}, "uncordon the host"},
      {AcknowledgeIncidentAction{"i1"}, "acknowledge incident i1"},
      {ReloadConfigAction{}, "reload the configuration"}};
  for (const auto& [action, words] : actions) {
    asked.action = action;
    EXPECT_NE(audit_record(asked, AdminAnswer{}).message.find(words), std::string::npos) << words;
  }
}

}  // namespace
}  // namespace hvguard::publish
