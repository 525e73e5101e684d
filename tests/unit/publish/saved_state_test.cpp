#include "publish/saved_state.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

namespace hvguard::publish {
namespace {

std::vector<Incident> two_incidents() {
  Incident open;
  open.id = "a1";
  open.kind = IncidentKind::kIoStall;
  open.subject = {"vm:x/dev:8:0", "vm web on sda", VmId{1, {Nanoseconds(2)}, {3}}, DeviceId{8, 0}};
  open.severity = Severity::kWarning;
  open.peak_severity = Severity::kCritical;
  open.summary = "stalled";
  open.event_time = {Nanoseconds(11)};
  open.detect_time = {Nanoseconds(12)};
  open.revision = 5;
  open.reopen_count = 2;
  open.acknowledgement = Acknowledgement{{std::chrono::seconds(99)}, "uid 0, pid 17", "ticket 17"};
  Incident over = open;
  over.id = "a2";
  over.acknowledgement.reset();
  over.subject = {"host", "host", {}, {}};
  over.state = IncidentState::kResolved;
  over.decide_time = BootTime{Nanoseconds(13)};
  over.resolve_time = BootTime{Nanoseconds(14)};
  return {open, over};
}

void expect_same(const Incident& a, const Incident& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.subject.key, b.subject.key);
  EXPECT_EQ(a.subject.label, b.subject.label);
  EXPECT_EQ(a.subject.vm, b.subject.vm);
  EXPECT_EQ(a.subject.device, b.subject.device);
  EXPECT_EQ(a.state, b.state);
  EXPECT_EQ(a.severity, b.severity);
  EXPECT_EQ(a.peak_severity, b.peak_severity);
  EXPECT_EQ(a.summary, b.summary);
  EXPECT_EQ(a.event_time, b.event_time);
  EXPECT_EQ(a.detect_time, b.detect_time);
  EXPECT_EQ(a.decide_time, b.decide_time);
  EXPECT_EQ(a.resolve_time, b.resolve_time);
  EXPECT_EQ(a.revision, b.revision);
  EXPECT_EQ(a.reopen_count, b.reopen_count);
  EXPECT_EQ(a.acknowledgement, b.acknowledgement);
}

TEST(SavedState, RestoredIsWhatWasSaved) {
  const std::vector<Incident> saved = two_incidents();
  const RestoredState restored =
      restore_state(save_state(saved, "boot", 77).SerializeAsString(), "boot");
  EXPECT_EQ(restored.note, "");
  EXPECT_EQ(restored.epoch, 77U);
  ASSERT_EQ(restored.incidents.size(), saved.size());
  for (std::size_t i = 0; i < saved.size(); ++i) {
    expect_same(restored.incidents[i], saved[i]);
  }
}

TEST(SavedState, OfAnotherBootOnlyTheEpochIsKept) {
  const RestoredState restored =
      restore_state(save_state(two_incidents(), "boot", 77).SerializeAsString(), "other");
  EXPECT_TRUE(restored.incidents.empty());
  EXPECT_EQ(restored.epoch, 77U);
  EXPECT_NE(restored.note, "");
}

TEST(SavedState, CutAtEveryByteIsNotedAndGivesNothing) {
  const std::string whole = save_state(two_incidents(), "boot", 1'700'000'000).SerializeAsString();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    const RestoredState restored = restore_state(whole.substr(0, i), "boot");
    EXPECT_TRUE(restored.incidents.empty()) << i;
    EXPECT_NE(restored.note, "") << i;
  }
}

// No byte may make it refuse, crash, or give an incident without an identity.
TEST(SavedState, EveryByteFlippedIsSurvived) {
  const google::protobuf::LogSilencer no_complaints_about_utf8;
  const std::string whole = save_state(two_incidents(), "boot", 77).SerializeAsString();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      for (const Incident& incident : restore_state(damaged, "boot").incidents) {
        EXPECT_FALSE(incident.id.empty());
        EXPECT_FALSE(incident.subject.key.empty());
        EXPECT_EQ(incident.state == IncidentState::kResolved, incident.resolve_time.has_value());
      }
    }
  }
}

class StateFileTest : public testing::Test {
 protected:
  StateFileTest() {
    std::string pattern = testing::TempDir() + "hvguard-state-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
    folder_ = DirFd::open(path_).value();
  }
  ~StateFileTest() override { std::filesystem::remove_all(path_); }

  std::string path_;
  DirFd folder_;
};

TEST_F(StateFileTest, StoresAndLoads) {
  StateFile file(folder_.get(), "state.pb");
  EXPECT_EQ(file.load("boot").note, "");  // none yet: nothing to say
  ASSERT_TRUE(file.store(save_state(two_incidents(), "boot", 77)));
  const RestoredState restored = StateFile(folder_.get(), "state.pb").load("boot");
  EXPECT_EQ(restored.incidents.size(), 2U);
  EXPECT_EQ(restored.epoch, 77U);
  EXPECT_FALSE(std::filesystem::exists(path_ + "/state.pb.new"));
}

TEST_F(StateFileTest, WritesOnlyWhatChanged) {
  StateFile file(folder_.get(), "state.pb");
  ASSERT_TRUE(file.store(save_state({}, "boot", 1)));
  std::filesystem::remove(path_ + "/state.pb");
  ASSERT_TRUE(file.store(save_state({}, "boot", 1)));
  EXPECT_FALSE(std::filesystem::exists(path_ + "/state.pb"));
  ASSERT_TRUE(file.store(save_state({}, "boot", 2)));
  EXPECT_TRUE(std::filesystem::exists(path_ + "/state.pb"));
}

TEST_F(StateFileTest, WhatIsNotOursIsLeftAlone) {
  std::ofstream(path_ + "/state.pb") << "garbage";
  EXPECT_NE(StateFile(folder_.get(), "state.pb").load("boot").note, "");
  std::filesystem::remove(path_ + "/state.pb");
  std::filesystem::create_directory(path_ + "/state.pb");
  EXPECT_NE(StateFile(folder_.get(), "state.pb").load("boot").note, "");
  EXPECT_FALSE(StateFile(folder_.get(), "state.pb").store(save_state({}, "boot", 1)));
  std::filesystem::remove(path_ + "/state.pb");
  std::filesystem::create_symlink("/etc/passwd", path_ + "/state.pb");
  EXPECT_NE(StateFile(folder_.get(), "state.pb").load("boot").note, "");
}

}  // namespace
}  // namespace hvguard::publish
