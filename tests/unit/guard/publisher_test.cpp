#include "guard/publisher.h"

#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>

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
    publisher_->publish(result, true, HandlerTimes{}, boot_time_now());
  }

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
