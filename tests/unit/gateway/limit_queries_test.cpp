// ListLimits and ListDecisions, and what GetVm and GetIncident carry of them.
#include <gtest/gtest.h>

#include "link/queries.h"
#include "sample_frame.h"

namespace hvguard::link {
namespace {

using test::kSampleTime;
using test::sample_frame;

std::shared_ptr<const Mirror> mirror_of(Frame frame) {
  return build_mirror(std::move(frame), nullptr);
}

TEST(ListLimits, GivesEachOnceInOrderOverPages) {
  Frame frame = sample_frame(1, kSampleTime);
  frame.limits.clear();
  for (int i = 0; i < 25; ++i) {
    v1::Limit limit = test::sample_limit(1, kSampleTime);
    limit.set_vm_name(i % 2 == 0 ? "b" : "a");
    limit.mutable_device()->set_minor(static_cast<std::uint32_t>(100 - i));
    frame.limits.push_back(limit);
  }
  const auto mirror = mirror_of(std::move(frame));
  v1::ListLimitsRequest request;
  request.set_page_size(10);
  std::vector<std::pair<std::string, std::uint32_t>> seen;
  do {
    const auto page = list_limits(*mirror, request);
    ASSERT_TRUE(page) << page.error().message;
    EXPECT_TRUE(page->has_observe_time());
    for (const auto& limit : page->limits()) {
      seen.emplace_back(limit.vm_name(), limit.device().minor());
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(seen.size(), 25U);
  EXPECT_TRUE(std::ranges::is_sorted(seen));
}

TEST(ListLimits, FiltersByVmAndState) {
  const auto mirror = mirror_of(sample_frame(1, kSampleTime));
  v1::ListLimitsRequest request;
  request.mutable_filter()->set_vm_id(test::sample_vm(2, kSampleTime).vm_id());
  EXPECT_EQ(list_limits(*mirror, request)->limits_size(), 0);
  request.mutable_filter()->set_vm_id(test::sample_vm(1, kSampleTime).vm_id());
  EXPECT_EQ(list_limits(*mirror, request)->limits_size(), 4);
  request.mutable_filter()->add_states(v1::Limit::STATE_FAILED);
  request.mutable_filter()->add_states(v1::Limit::STATE_FOREIGN);
  EXPECT_EQ(list_limits(*mirror, request)->limits_size(), 2);
}

TEST(ListLimits, RefusesWhatMakesNoSense) {
  const auto mirror = mirror_of(sample_frame(1, kSampleTime));
  v1::ListLimitsRequest request;
  request.mutable_filter()->add_states(v1::Limit::STATE_UNSPECIFIED);
  EXPECT_EQ(list_limits(*mirror, request).error().code, Errc::kInvalid);
  request.mutable_filter()->clear_states();
  for (int i = 0; i < 65; ++i) {
    request.mutable_filter()->add_states(v1::Limit::STATE_FAILED);
  }
  EXPECT_EQ(list_limits(*mirror, request).error().code, Errc::kInvalid);
  request.clear_filter();
  request.set_page_size(-1);
  EXPECT_EQ(list_limits(*mirror, request).error().code, Errc::kInvalid);
  request.set_page_size(0);
  request.set_page_token("ffff");
  EXPECT_EQ(list_limits(*mirror, request).error().code, Errc::kInvalid);
}

TEST(ListDecisions, NewestFirstAndSaysHowManyAreForgotten) {
  const auto mirror = mirror_of(sample_frame(1, kSampleTime));
  v1::ListDecisionsRequest request;
  request.set_page_size(2);
  const auto first = list_decisions(*mirror, request);
  ASSERT_EQ(first->decisions_size(), 2);
  EXPECT_EQ(first->decisions(0).sequence(), 7U);
  EXPECT_EQ(first->decisions(1).sequence(), 6U);
  EXPECT_EQ(first->forgotten_count(), 4U);
  request.set_page_token(first->next_page_token());
  const auto second = list_decisions(*mirror, request);
  ASSERT_EQ(second->decisions_size(), 1);
  EXPECT_EQ(second->decisions(0).sequence(), 5U);
  EXPECT_EQ(second->next_page_token(), "");
}

TEST(ListDecisions, FiltersByVmAndIncident) {
  const auto mirror = mirror_of(sample_frame(1, kSampleTime));
  v1::ListDecisionsRequest request;
  request.mutable_filter()->set_incident_id("1a2b0007");
  EXPECT_EQ(list_decisions(*mirror, request)->decisions_size(), 3);
  request.mutable_filter()->set_vm_id("another");
  EXPECT_EQ(list_decisions(*mirror, request)->decisions_size(), 0);
  request.mutable_filter()->set_incident_id(std::string(600, 'x'));
  EXPECT_EQ(list_decisions(*mirror, request).error().code, Errc::kInvalid);
}

TEST(ListDecisions, NothingIsForgottenWhereNothingWas) {
  v1::ListDecisionsRequest request;
  EXPECT_EQ(list_decisions(*mirror_of(Frame()), request)->forgotten_count(), 0U);
}

TEST(GetVm, CarriesItsLimits) {
  const auto mirror = mirror_of(sample_frame(1, kSampleTime));
  v1::GetVmRequest request;
  request.set_vm("vm01");
  EXPECT_EQ(get_vm(*mirror, request)->limits_size(), 4);
  request.set_vm("vm02");
  EXPECT_EQ(get_vm(*mirror, request)->limits_size(), 0);
}

TEST(GetIncident, CarriesItsDecisionsAndLimits) {
  const auto mirror = mirror_of(sample_frame(1, kSampleTime));
  v1::GetIncidentRequest request;
  request.set_incident_id("1a2b0007");
  const auto answer = get_incident(*mirror, request);
  EXPECT_EQ(answer->decisions_size(), 3);
  EXPECT_EQ(answer->limits_size(), 1);
  request.set_incident_id("1a2b0001");
  EXPECT_EQ(get_incident(*mirror, request)->decisions_size(), 0);
}

}  // namespace
}  // namespace hvguard::link
