#include "guard/publisher.h"

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../support/fake_journald.h"
#include "publish/frame.h"

namespace hvguard::guard {
namespace {

class PublisherTest : public testing::Test {
 protected:
  PublisherTest() {
    std::string pattern = testing::TempDir() + "hvguard-publisher-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
    folder_ = DirFd::open(path_).value();
    sd_event_new(&event_);
    publish::CoreServerOptions options;
    options.path = path_ + "/core.sock";
    publisher_ =
        std::make_unique<Publisher>(Audit(publish::Journal::open(journald_.path()).value(), false),
                                    publish::CoreServer::listen(event_, options).value(),
                                    publish::StateFile(folder_.get(), "state.pb"),
                                    "boot",
                                    5);
  }
  ~PublisherTest() override {
    publisher_.reset();
    sd_event_unref(event_);
    std::filesystem::remove_all(path_);
  }

  void tick(std::uint64_t number, std::vector<IncidentChange> changes = {}) {
    auto snapshot = std::make_shared<Snapshot>();
    snapshot->tick = number;
    TickResult result;
    result.snapshot = std::move(snapshot);
    for (const IncidentChange& change : changes) {
      result.incidents.push_back(change.incident);
    }
    result.changes = std::move(changes);
    result.decisions = decisions_;
    publisher_->publish(result, true, HandlerTimes{}, boot_time_now());
  }

  // The first packet that answers this request.
  v1::CorePacket ask(const v1::CoreRequest& request) {
    const UniqueFd client(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string socket = path_ + "/core.sock";
    std::memcpy(address.sun_path, socket.data(), socket.size());
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
              0);
    const std::string bytes = request.SerializeAsString();
    EXPECT_GT(::send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), 0);
    std::string buffer(publish::kMaxPacketBytes, '\0');
    v1::CorePacket packet;
    const BootTime start = boot_time_now();
    while (boot_time_now() - start < std::chrono::seconds(20)) {
      sd_event_run(event_, 1000);
      const ssize_t size = ::recv(client.get(), buffer.data(), buffer.size(), 0);
      if (size > 0) {
        EXPECT_TRUE(packet.ParseFromArray(buffer.data(), static_cast<int>(size)));
        return packet;
      }
    }
    ADD_FAILURE() << "no answer";
    return packet;
  }

  std::vector<Decision> decisions_;  // of each tick
  tests::FakeJournald journald_;
  std::string path_;
  DirFd folder_;
  sd_event* event_ = nullptr;
  std::unique_ptr<Publisher> publisher_;
};

TEST_F(PublisherTest, SavesOnlyWhenSomethingChanged) {
  tick(1);
  const std::string file = path_ + "/state.pb";
  ASSERT_TRUE(std::filesystem::exists(file));
  std::filesystem::remove(file);
  tick(2);
  EXPECT_FALSE(std::filesystem::exists(file));
  IncidentChange opened;
  opened.incident.id = "i1";
  opened.incident.subject.key = "host";
  tick(3, {opened});
  const auto restored = publish::StateFile(folder_.get(), "state.pb").load("boot");
  EXPECT_EQ(restored.incidents.size(), 1U);
  EXPECT_EQ(restored.epoch, 5U);
  EXPECT_EQ(journald_.messages().size(), 1U);
}

TEST_F(PublisherTest, CountsWhatIsTooLargeForAPacket) {
  tick(1);
  EXPECT_EQ(publisher_->figures().drops.trimmed_count, 0U);
  IncidentChange opened;
  opened.incident.id = "i1";
  opened.incident.subject.key = "host";
  opened.incident.summary.assign(publish::kMaxPacketBytes, 'x');
  tick(2, {opened});
  EXPECT_GT(publisher_->figures().drops.trimmed_count, 0U);
}

TEST_F(PublisherTest, AFolderThatVanishedStopsNothing) {
  std::filesystem::remove_all(path_);
  tick(1);
  tick(2);
  EXPECT_EQ(publisher_->figures().tick_count, 2U);
}

TEST_F(PublisherTest, DecisionsAreRecordedOnceAndRemembered) {
  Decision decision;
  decision.step = DecisionStep::kRefused;
  decision.reason = "the floor is 16 MiB/s";
  decisions_ = {decision};
  tick(1);
  tick(2);
  EXPECT_EQ(journald_.messages(), std::vector<std::string>{"refused: the floor is 16 MiB/s"});
  decisions_.clear();
  tick(3);
  v1::CoreRequest request;
  request.set_protocol_version(1);
  request.mutable_get_frame();
  const v1::FramePart part = ask(request).frame_part();
  ASSERT_EQ(part.decisions_size(), 1);
  EXPECT_EQ(part.decisions(0).repeat_count(), 1U);
}

TEST_F(PublisherTest, RequestsAreJudgedRecordedAndAnswered) {
  publisher_->on_admin([](const AdminRequest& request) -> Result<AdminAnswer> {
    if (request.reason == "bad") {
      return fail(Errc::kDenied, "the mode is observe");
    }
    return AdminAnswer{.limits = {},
                       .mode = LimitMode::kDryRun,
                       .cordoned = {},
                       .incident = {},
                       .note = "until the next start"};
  });
  v1::CoreRequest request;
  request.set_protocol_version(1);
  auto& mode = *request.mutable_admin()->mutable_set_mode();
  mode.set_request_id("r1");
  mode.set_reason("first week");
  mode.set_mode(v1::AgentStatus::MODE_DRY_RUN);
  const v1::AdminReply done = ask(request).admin_reply();
  EXPECT_EQ(done.set_mode().mode(), v1::AgentStatus::MODE_DRY_RUN);
  EXPECT_EQ(done.set_mode().note(), "until the next start");
  mode.set_reason("bad");
  EXPECT_EQ(ask(request).admin_reply().error().message(), "the mode is observe");
  const auto records = journald_.messages();
  ASSERT_EQ(records.size(), 2U);
  EXPECT_NE(records[0].find("asked to set mode dry_run (first week): until the next start"),
            std::string::npos)
      << records[0];
  EXPECT_NE(records[1].find("refused: the mode is observe"), std::string::npos) << records[1];
}

TEST_F(PublisherTest, ReloadsAreCountedHoweverTheyEnd) {
  publisher_->set_reload_error("no such key");
  publisher_->set_reload_error("");
  EXPECT_EQ(publisher_->figures().reload_count, 2U);
  EXPECT_EQ(publisher_->figures().reload_error, "");
}

TEST(StatusLine, CountsWhatASysadminAsksFirst) {
  TickResult result;
  EXPECT_EQ(status_line(result), "no reading yet, 0 open incidents");
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->vms.resize(2);
  result.snapshot = snapshot;
  EXPECT_EQ(status_line(result), "2 VMs, blocked tasks not known, 0 open incidents");
  TaskPass pass;
  pass.blocked.resize(2);
  pass.blocked[0].blocked_class = BlockedClass::kHard;
  pass.blocked[1].blocked_class = BlockedClass::kKillable;
  snapshot->tasks = pass;
  result.incidents.resize(2);
  result.incidents[1].state = IncidentState::kResolved;
  EXPECT_EQ(status_line(result), "2 VMs, 1 blocked task, 1 open incident");
}

}  // namespace
}  // namespace hvguard::guard
