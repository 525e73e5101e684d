// What each command shows, against goldens. UPDATE_GOLDEN=1 rewrites them; the diff is the review.
#include "ctl/views.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ctl/explain.h"
#include "link/queries.h"
#include "sample_frame.h"

namespace hvguard::ctl {
namespace {

using test::kSampleTime;

class ViewsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
  }

  static void expect_golden(const std::string& name, const std::string& text) {
    const std::string path = fmt::format("{}/{}.txt", HVGUARD_GOLDENS, name);
    if (std::getenv("UPDATE_GOLDEN") != nullptr) {
      std::ofstream(path) << text;
      return;
    }
    std::stringstream wanted;
    wanted << std::ifstream(path).rdbuf();
    EXPECT_EQ(text, wanted.str()) << path;
  }

  static void expect_fits(const std::string& text, std::size_t width) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      EXPECT_LE(text_width(line), width) << line;
    }
  }

  std::shared_ptr<const link::Mirror> mirror =
      link::build_mirror(test::sample_frame(12, kSampleTime), nullptr);
  Style style{.terminal = false, .color = false, .width = 100, .now = kSampleTime};
  Style colored{.terminal = true, .color = true, .width = 100, .now = kSampleTime};
};

TEST_F(ViewsTest, Status) {
  const std::string text = status_view(mirror->status, style);
  expect_golden("status", text);
  expect_fits(text, 100);
  expect_golden("status-colored", status_view(mirror->status, colored));
}

TEST_F(ViewsTest, EmptyStatusShowsNothingAsZeroThatIsNotKnown) {
  expect_golden("status-empty", status_view(v1::Status(), style));
}

TEST_F(ViewsTest, Vms) {
  v1::ListVmsRequest request;
  request.set_include_device_ios(true);
  const auto vms = *link::list_vms(*mirror, request);
  const std::string text = vms_view(vms, VmOrder::kName, style);
  expect_golden("vms", text);
  expect_fits(text, 100);
  for (const VmOrder order : {VmOrder::kIo, VmOrder::kCpu, VmOrder::kMemory, VmOrder::kLatency}) {
    const std::string sorted = vms_view(vms, order, style);
    EXPECT_LT(sorted.find("vm03"), sorted.find("vm01"));
  }
  EXPECT_EQ(vms_view({}, VmOrder::kName, style), "no VMs\n");
}

TEST_F(ViewsTest, LongNamesAreCutOnATerminalOnly) {
  v1::ListVmsResponse vms;
  *vms.add_vms() = test::sample_vm(1, kSampleTime);
  vms.mutable_vms(0)->set_name(std::string(120, 'n'));
  Style terminal = style;
  terminal.terminal = true;
  const std::string cut = vms_view(vms, VmOrder::kName, terminal);
  expect_fits(cut, 100);
  EXPECT_NE(cut.find("n…"), std::string::npos);
  EXPECT_NE(vms_view(vms, VmOrder::kName, style).find(std::string(120, 'n')), std::string::npos);
}

TEST_F(ViewsTest, HostileNamesReachNoTerminalRaw) {
  v1::ListVmsResponse vms;
  *vms.add_vms() = test::sample_vm(1, kSampleTime);
  vms.mutable_vms(0)->set_name("a\x1b[2J\nb\\x1b");
  const std::string text = vms_view(vms, VmOrder::kName, style);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("a\\x1b[2J\\x0ab\\x1b"), std::string::npos) << text;
}

TEST_F(ViewsTest, Vm) {
  v1::GetVmRequest request;
  request.set_vm("vm01");
  const auto incidents = *link::list_incidents(*mirror, {});
  const std::string text = vm_view(link::get_vm(*mirror, request)->vm(), incidents, style);
  expect_golden("vm", text);
  expect_fits(text, 100);
  v1::Vm unknown;
  unknown.set_name("bare");
  unknown.add_device_ios()->set_counts_only(true);
  expect_golden("vm-unknown", vm_view(unknown, {}, style));
}

TEST_F(ViewsTest, Tasks) {
  const auto tasks = *link::list_blocked_tasks(*mirror, {});
  expect_golden("tasks", tasks_view(tasks, false, style));
  expect_golden("tasks-stack", tasks_view(tasks, true, style));
}

TEST_F(ViewsTest, Incidents) {
  expect_golden("incidents", incidents_view(*link::list_incidents(*mirror, {}), style));
  EXPECT_EQ(incidents_view({}, style), "no incidents\n");
}

TEST_F(ViewsTest, EveryKindOfIncidentIsExplained) {
  for (int number = v1::Incident::KIND_HUNG_TASK; number <= v1::Incident::Kind_MAX; ++number) {
    const auto kind = static_cast<v1::Incident::Kind>(number);
    const auto incident = test::sample_incident(number, kind, kSampleTime);
    const std::string text = incident_view(incident, style);
    EXPECT_EQ(text.find("does not know"), std::string::npos) << kind_text(kind);
    expect_golden("incident-" + kind_text(kind), text);
    expect_fits(text, 100);
  }
}

TEST_F(ViewsTest, EveryCauseOfAHungTaskIsExplained) {
  v1::Incident incident;
  incident.set_kind(v1::Incident::KIND_HUNG_TASK);
  const std::string other = explain(incident).meaning;
  for (int cause = v1::HungTaskEvidence::CAUSE_BLOCK_IO; cause < v1::HungTaskEvidence::CAUSE_OTHER;
       ++cause) {
    incident.mutable_evidence()->mutable_hung_task()->set_cause(
        static_cast<v1::HungTaskEvidence::Cause>(cause));
    EXPECT_NE(explain(incident).meaning, other) << cause;
  }
}

TEST_F(ViewsTest, Limits) {
  const auto limits = *link::list_limits(*mirror, v1::ListLimitsRequest());
  const std::string text = limits_view(limits.limits(), style);
  expect_golden("limits", text);
  expect_fits(text, 100);
  EXPECT_EQ(limits_view({}, style), "no limits\n");
}

TEST_F(ViewsTest, WhyTellsTheChainOldestFirst) {
  WhyAnswer answer;
  v1::GetVmRequest vm;
  vm.set_vm("vm01");
  answer.vm = *link::get_vm(*mirror, vm);
  answer.decisions = *link::list_decisions(*mirror, v1::ListDecisionsRequest());
  v1::Incident contention = test::sample_incident(7, v1::Incident::KIND_IO_CONTENTION, kSampleTime);
  contention.mutable_acknowledgement()->set_who("uid 0, pid 17");
  contention.mutable_acknowledgement()->set_reason("ticket 17");
  *contention.mutable_acknowledgement()->mutable_acknowledge_time() =
      test::timestamp({kSampleTime.since_epoch - std::chrono::seconds(5)});
  answer.incidents = {contention};
  const std::string text = why_view(answer, style);
  expect_golden("why", text);
  EXPECT_LT(text.find("began"), text.find("set io.max rbps"));
  EXPECT_LT(text.find("set io.max rbps"), text.find("tightened"));
}

TEST_F(ViewsTest, WhyNothingIsSaidToo) {
  WhyAnswer answer;
  v1::GetVmRequest vm;
  vm.set_vm("vm02");
  answer.vm = *link::get_vm(*mirror, vm);
  expect_golden("why-nothing", why_view(answer, style));
}

}  // namespace
}  // namespace hvguard::ctl
