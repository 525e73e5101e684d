#include "link/queries.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "link/page_token.h"
#include "sample_frame.h"

namespace hvguard::link {
namespace {

using test::kSampleTime;
using test::sample_frame;

std::shared_ptr<const Mirror> mirror_of(Frame frame, const Mirror* previous = nullptr) {
  return build_mirror(std::move(frame), previous);
}

template <class T>
void expect_invalid(const Result<T>& result, std::string_view naming) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::kInvalid);
  EXPECT_NE(result.error().message.find(naming), std::string::npos) << result.error().message;
}

TEST(ListVms, GivesEachOnceInOrderOverPages) {
  const auto mirror = mirror_of(sample_frame(1, kSampleTime, 25));
  v1::ListVmsRequest request;
  request.set_page_size(10);
  std::vector<std::string> names;
  std::vector<int> sizes;
  do {
    const auto page = list_vms(*mirror, request);
    ASSERT_TRUE(page) << page.error().message;
    for (const auto& vm : page->vms()) {
      names.push_back(vm.name());
      EXPECT_TRUE(vm.device_ios().empty());
    }
    sizes.push_back(page->vms_size());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(sizes, (std::vector<int>{10, 10, 5}));
  EXPECT_EQ(names.size(), 25U);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
}

TEST(ListVms, APageThatFitsExactlyIsTheLast) {
  const auto mirror = mirror_of(sample_frame(1, kSampleTime, 10));
  v1::ListVmsRequest request;
  request.set_page_size(10);
  EXPECT_EQ(list_vms(*mirror, request)->next_page_token(), "");
}

TEST(ListVms, PagesSurviveThatVmsComeAndGo) {
  v1::ListVmsRequest request;
  request.set_page_size(2);
  const auto first = list_vms(*mirror_of(sample_frame(1, kSampleTime, 6)), request);
  ASSERT_EQ(first->vms(1).name(), "vm02");
  Frame later = sample_frame(2, kSampleTime, 6);
  later.vms.erase(later.vms.begin() + 1);  // vm02, where the next page begins
  v1::Vm early = test::sample_vm(90, kSampleTime);
  early.set_name("aaa");
  later.vms.push_back(early);
  request.set_page_token(first->next_page_token());
  const auto second = list_vms(*mirror_of(std::move(later)), request);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->vms(0).name(), "vm03");
}

TEST(ListVms, Filters) {
  const auto mirror = mirror_of(sample_frame(1, kSampleTime, 12));
  v1::ListVmsRequest request;
  request.mutable_filter()->set_name_glob("vm1*");
  EXPECT_EQ(list_vms(*mirror, request)->vms_size(), 3);
  request.mutable_filter()->clear_name_glob();
  request.mutable_filter()->set_only_with_incidents(true);
  EXPECT_EQ(list_vms(*mirror, request)->vms_size(), 1);
}

TEST(ListVms, GivesDevicesWhenAsked) {
  const auto mirror = mirror_of(sample_frame(1, kSampleTime));
  v1::ListVmsRequest request;
  request.set_include_device_ios(true);
  EXPECT_EQ(list_vms(*mirror, request)->vms(0).device_ios_size(), 2);
}

TEST(ListVms, BoundsPagesByBytes) {
  Frame frame = sample_frame(1, kSampleTime, 500);
  for (auto& vm : frame.vms) {
    vm.set_probe_error(std::string(10'000, 'x'));
  }
  const auto mirror = mirror_of(std::move(frame));
  v1::ListVmsRequest request;
  request.set_page_size(1000);
  const auto page = list_vms(*mirror, request);
  EXPECT_LT(page->ByteSizeLong(), kMaxPageBytes + 20'000);
  EXPECT_NE(page->next_page_token(), "");
}

TEST(ListVms, RefusesWrongRequestsByName) {
  const auto mirror = mirror_of(sample_frame(1, kSampleTime, 5));
  v1::ListVmsRequest request;
  request.set_page_size(-1);
  expect_invalid(list_vms(*mirror, request), "page_size is -1");
  request.set_page_size(2);
  request.set_page_token("zzz");
  expect_invalid(list_vms(*mirror, request), "page_token");
  request.clear_page_token();
  request.mutable_filter()->set_name_glob(std::string(600, '*'));
  expect_invalid(list_vms(*mirror, request), "filter.name_glob is 600 bytes");
}

TEST(ListVms, RefusesATokenOfAnotherQuestion) {
  const auto mirror = mirror_of(sample_frame(1, kSampleTime, 5));
  v1::ListVmsRequest request;
  request.set_page_size(2);
  const std::string token = list_vms(*mirror, request)->next_page_token();
  ASSERT_FALSE(token.empty());
  request.set_page_token(token);
  EXPECT_TRUE(list_vms(*mirror, request));
  request.mutable_filter()->set_name_glob("vm*");
  expect_invalid(list_vms(*mirror, request), "page_token");
  v1::ListBlockedTasksRequest tasks;
  tasks.set_page_token(token);
  expect_invalid(list_blocked_tasks(*mirror, tasks), "page_token");
}

TEST(GetVm, FindsByIdNameAndUuid) {
  const auto mirror = mirror_of(sample_frame(1, kSampleTime));
  v1::GetVmRequest request;
  for (const std::string key :
       {"vm02", "4002-000000e8d4a51000-22", "00000000-0000-4000-8000-000000000002"}) {
    request.set_vm(key);
    const auto found = get_vm(*mirror, request);
    ASSERT_TRUE(found) << key;
    EXPECT_EQ(found->vm().pid(), 4002U);
    EXPECT_EQ(found->vm().device_ios_size(), 2);
  }
}

TEST(GetVm, SaysWhichVmsShareAName) {
  Frame frame = sample_frame(1, kSampleTime);
  frame.vms[2].set_name("vm02");
  const auto mirror = mirror_of(std::move(frame));
  v1::GetVmRequest request;
  request.set_vm("vm02");
  expect_invalid(get_vm(*mirror, request), "4002-000000e8d4a51000-22, 4003-000000e8d4a51000-23");
}

TEST(GetVm, AnIdWinsOverAVmNamedLikeIt) {
  Frame frame = sample_frame(1, kSampleTime);
  frame.vms[0].set_name(frame.vms[2].vm_id());
  const auto mirror = mirror_of(std::move(frame));
  v1::GetVmRequest request;
  request.set_vm("4003-000000e8d4a51000-23");
  EXPECT_EQ(get_vm(*mirror, request)->vm().pid(), 4003U);
}

TEST(GetVm, SaysWhatIsMissingWithoutRawBytes) {
  const auto mirror = mirror_of(sample_frame(1, kSampleTime));
  v1::GetVmRequest request;
  request.set_vm("no\x1bsuch");
  const auto missing = get_vm(*mirror, request);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::kNotFound);
  EXPECT_NE(missing.error().message.find("no\\x1bsuch"), std::string::npos);
  request.clear_vm();
  expect_invalid(get_vm(*mirror, request), "vm is empty");
}

TEST(ListBlockedTasks, LongestFirstAndHardOnly) {
  const auto mirror = mirror_of(sample_frame(1, kSampleTime));
  v1::ListBlockedTasksRequest request;
  const auto all = list_blocked_tasks(*mirror, request);
  ASSERT_EQ(all->blocked_tasks_size(), 2);
  EXPECT_EQ(all->blocked_tasks(0).tid(), 4240U);
  request.mutable_filter()->set_only_hard(true);
  EXPECT_EQ(list_blocked_tasks(*mirror, request)->blocked_tasks_size(), 1);
}

TEST(ListBlockedTasks, PagesOverTasksOfUnknownAge) {
  Frame frame = sample_frame(1, kSampleTime);
  frame.blocked_tasks.clear();
  for (int i = 0; i < 20; ++i) {
    frame.blocked_tasks.push_back(test::sample_task(i, kSampleTime));
    if (i % 3 == 0) {
      frame.blocked_tasks.back().clear_blocked_since_time();
    }
  }
  const auto mirror = mirror_of(std::move(frame));
  v1::ListBlockedTasksRequest request;
  request.set_page_size(3);
  std::set<std::uint32_t> seen;
  int count = 0;
  do {
    const auto page = list_blocked_tasks(*mirror, request);
    ASSERT_TRUE(page);
    for (const auto& task : page->blocked_tasks()) {
      seen.insert(task.tid());
      ++count;
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(count, 20);
  EXPECT_EQ(seen.size(), 20U);
}

TEST(ListIncidents, OpenFirstThenNewestWithoutEvidence) {
  Frame frame = sample_frame(1, kSampleTime);
  frame.incidents[0].set_state(v1::Incident::STATE_RESOLVED);
  const auto mirror = mirror_of(std::move(frame));
  v1::ListIncidentsRequest request;
  request.set_page_size(2);
  std::vector<std::string> ids;
  do {
    const auto page = list_incidents(*mirror, request);
    ASSERT_TRUE(page);
    for (const auto& incident : page->incidents()) {
      ids.push_back(incident.incident_id());
      EXPECT_FALSE(incident.has_evidence());
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  ASSERT_EQ(ids.size(), test::kSampleIncidents);
  EXPECT_EQ(ids.front(), "1a2b0002");
  EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end() - 1));  // a higher number began earlier
  EXPECT_EQ(ids.back(), "1a2b0001");
}

TEST(ListIncidents, Filters) {
  const auto mirror = mirror_of(sample_frame(1, kSampleTime));
  const auto count = [&](const v1::IncidentFilter& filter) {
    v1::ListIncidentsRequest request;
    *request.mutable_filter() = filter;
    return list_incidents(*mirror, request)->incidents_size();
  };
  v1::IncidentFilter filter;
  filter.set_min_severity(v1::Incident::SEVERITY_CRITICAL);
  EXPECT_EQ(count(filter), 1);
  filter.Clear();
  filter.add_kinds(v1::Incident::KIND_IO_STALL);
  filter.add_kinds(v1::Incident::KIND_AGENT_BLIND);
  EXPECT_EQ(count(filter), 2);
  filter.Clear();
  filter.set_vm_id("another");
  EXPECT_EQ(count(filter), 0);
  filter.Clear();
  filter.set_state(v1::Incident::STATE_RESOLVED);
  EXPECT_EQ(count(filter), 0);
}

TEST(ListIncidents, RefusesUnknownEnumerators) {
  const auto mirror = mirror_of(sample_frame(1, kSampleTime));
  v1::ListIncidentsRequest request;
  request.mutable_filter()->add_kinds(static_cast<v1::Incident::Kind>(77));
  expect_invalid(list_incidents(*mirror, request), "filter.kinds has 77");
  request.mutable_filter()->clear_kinds();
  request.mutable_filter()->set_state(static_cast<v1::Incident::State>(9));
  expect_invalid(list_incidents(*mirror, request), "filter.state is 9");
}

TEST(GetIncident, FindsByIdAndUniqueBeginning) {
  const auto mirror = mirror_of(sample_frame(1, kSampleTime));
  v1::GetIncidentRequest request;
  request.set_incident_id("1a2b0003");
  const auto found = get_incident(*mirror, request);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->incident().evidence().has_io_stall());
  request.set_incident_id("1a2b");
  expect_invalid(get_incident(*mirror, request), "several incidents begin with '1a2b'");
  request.set_incident_id("ffff");
  EXPECT_EQ(get_incident(*mirror, request).error().code, Errc::kNotFound);
}

TEST(GetIncident, AWholeIdIsNotAmbiguous) {
  Frame frame = sample_frame(1, kSampleTime);
  frame.incidents[1].set_incident_id("1a2b00010");
  const auto mirror = mirror_of(std::move(frame));
  v1::GetIncidentRequest request;
  request.set_incident_id("1a2b0001");
  EXPECT_EQ(get_incident(*mirror, request)->incident().kind(), v1::Incident::KIND_HUNG_TASK);
}

TEST(Mirror, SharesIncidentsThatDidNotChange) {
  const auto before = mirror_of(sample_frame(1, kSampleTime));
  Frame next = sample_frame(2, kSampleTime);
  next.incidents[0].set_revision(2);
  const auto after = mirror_of(std::move(next), before.get());
  std::size_t shared = 0;
  for (const SharedIncident& incident : *after->incidents) {
    shared += (*before->incidents)[before->incident_by_id.at(incident->incident_id())] == incident
                  ? 1U
                  : 0U;
  }
  EXPECT_EQ(shared, test::kSampleIncidents - 1);
}

TEST(PageToken, GivesBackAnyKeyAndNothingElse) {
  const std::vector<std::string> key = {"a.b\n\xff", ""};
  const std::string token = make_page_token("q", key);
  EXPECT_EQ(*read_page_token("q", token, 2), key);
  EXPECT_FALSE(read_page_token("r", token, 2));
  EXPECT_FALSE(read_page_token("q", token, 3) && *read_page_token("q", token, 3) == key);
  EXPECT_FALSE(read_page_token("q", token + ".00", 2));
  EXPECT_FALSE(read_page_token("q", token + "0", 2));
  EXPECT_FALSE(read_page_token("q", std::string(5000, 'a'), 2));
}

}  // namespace
}  // namespace hvguard::link
