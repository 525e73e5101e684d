// Both watches over the socket: snapshot, changes, resume, slow readers, limits.
#include <csignal>
#include <vector>

#include <gtest/gtest.h>

#include "gateway_process.h"

namespace hvguard::test {
namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr std::size_t kResidentBound = 1U << 30;  // freed memory stays in quarantine
#else
constexpr std::size_t kResidentBound = 64U << 20;
#endif

using v1::WatchIncidentsResponse;

class WatchTest : public GatewayTest {
 protected:
  // A frame in which one incident changed.
  void tell_change(std::size_t index) {
    auto frame = sample_frame(++tick, wall_time_now());
    revisions[index]++;
    for (std::size_t i = 0; i < frame.incidents.size(); ++i) {
      frame.incidents[i] = original.incidents[i];
      frame.incidents[i].set_revision(revisions[i]);
      frame.incidents[i].set_summary(summary.empty() ? frame.incidents[i].summary() : summary);
    }
    core->tell(frame);
  }

  link::Frame original = sample_frame(1, kSampleTime);
  std::vector<std::uint64_t> revisions = std::vector<std::uint64_t>(kSampleIncidents, 1);
  std::string summary;
};

TEST_F(WatchTest, SnapshotChangesAndResume) {
  start_both();
  tell_change(0);
  const auto stub = client();
  std::string token;
  {
    grpc::ClientContext context;
    set_deadline(context);
    const auto stream = stub->WatchIncidents(&context, {});
    WatchIncidentsResponse response;
    std::size_t snapshots = 0;
    std::uint64_t sequence = 0;
    while (stream->Read(&response) && response.has_snapshot()) {
      ++snapshots;
      EXPECT_EQ(response.sequence(), ++sequence);
      EXPECT_EQ(response.epoch(), 7U);
    }
    ASSERT_TRUE(response.has_end_of_snapshot());
    EXPECT_EQ(snapshots, kSampleIncidents);
    EXPECT_EQ(response.end_of_snapshot().snapshot_count(), kSampleIncidents);
    // The first frame may have been taken over after the watch began, with changes of all.
    tell_change(2);
    do {
      ASSERT_TRUE(stream->Read(&response));
    } while (!response.has_change() || response.change().revision() != 2 ||
             response.change().incident_id() != "1a2b0003");
    token = response.resume_token();
    context.TryCancel();
  }
  tell_change(3);
  grpc::ClientContext context;
  set_deadline(context);
  v1::WatchIncidentsRequest request;
  request.set_resume_token(token);
  const auto stream = stub->WatchIncidents(&context, request);
  WatchIncidentsResponse response;
  ASSERT_TRUE(stream->Read(&response));
  ASSERT_TRUE(response.has_end_of_snapshot());
  EXPECT_EQ(response.end_of_snapshot().snapshot_count(), 0U);
  ASSERT_TRUE(stream->Read(&response));
  ASSERT_TRUE(response.has_change());
  EXPECT_EQ(response.change().incident_id(), "1a2b0004");
}

TEST_F(WatchTest, ASlowWatcherGetsAGapAndCostsLittle) {
  start_both();
  summary = std::string(20'000, 'x');
  tell_change(0);
  const auto stub = client();
  grpc::ClientContext context;
  set_deadline(context, 40'000);
  const auto stream = stub->WatchIncidents(&context, {});
  WatchIncidentsResponse response;
  ASSERT_TRUE(stream->Read(&response));
  // Some 40 MB of changes that nobody reads.
  for (int i = 0; i < 2000; ++i) {
    tell_change(static_cast<std::size_t>(i % 5));
  }
  v1::GetStatusResponse status;
  ASSERT_TRUE(eventually(
      [&] { return get_status(status).ok() && status.status().agent().tick_count() == tick; }));
  EXPECT_LT(gateway->resident_bytes(), kResidentBound);
  bool gap = false;
  bool snapshot_after_gap = false;
  while (!snapshot_after_gap && stream->Read(&response)) {
    gap = gap || response.has_gap();
    snapshot_after_gap = gap && response.has_end_of_snapshot();
  }
  EXPECT_TRUE(gap);
  EXPECT_TRUE(snapshot_after_gap);
  context.TryCancel();
}

TEST_F(WatchTest, StatusComesAndIsRepeatedWhenTheGuardIsSilent) {
  start_both();
  const auto stub = client();
  grpc::ClientContext context;
  set_deadline(context, 15'000);
  v1::WatchStatusRequest request;
  request.set_interval_ms(200);
  const auto stream = stub->WatchStatus(&context, request);
  v1::WatchStatusResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.sequence(), 1U);
  tell();
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.status().agent().tick_count(), tick);
  const BootTime begun = boot_time_now();
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_GE(boot_time_now() - begun, std::chrono::milliseconds(2500));
  EXPECT_EQ(response.status().agent().tick_count(), tick);
  context.TryCancel();
}

TEST_F(WatchTest, WatchersAreLimitedAndFreed) {
  start_both({"--max-watchers", "2"});
  const auto stub = client();
  const auto begin = [&](grpc::ClientContext& context) {
    set_deadline(context, 20'000);
    return stub->WatchIncidents(&context, {});
  };
  WatchIncidentsResponse response;
  auto first_context = std::make_unique<grpc::ClientContext>();
  auto first = begin(*first_context);
  ASSERT_TRUE(first->Read(&response));
  grpc::ClientContext second_context;
  const auto second = begin(second_context);
  ASSERT_TRUE(second->Read(&response));
  {
    grpc::ClientContext third_context;
    const auto third = begin(third_context);
    EXPECT_FALSE(third->Read(&response));
    const auto status = third->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_NE(status.error_message().find("--max-watchers"), std::string::npos);
  }
  first_context->TryCancel();
  EXPECT_TRUE(eventually([&] {
    grpc::ClientContext context;
    const auto again = begin(context);
    const bool taken = again->Read(&response);
    context.TryCancel();
    return taken;
  }));
  second_context.TryCancel();
}

TEST_F(WatchTest, EndsWithAWordWhenTheGatewayStops) {
  start_both();
  const auto stub = client();
  grpc::ClientContext context;
  set_deadline(context, 10'000);
  const auto stream = stub->WatchIncidents(&context, {});
  WatchIncidentsResponse response;
  while (stream->Read(&response) && !response.has_end_of_snapshot()) {
  }
  const BootTime begun = boot_time_now();
  gateway->signal(SIGTERM);
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(gateway->wait(std::chrono::seconds(5)), 0) << gateway_log();
  EXPECT_LT(boot_time_now() - begun, std::chrono::seconds(2));
}

}  // namespace
}  // namespace hvguard::test
