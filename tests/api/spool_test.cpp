// The real hvguard-spool beside the real hvguardd, on a made-up boot: its record, pstore and boot
// id lie below a folder of the test. hvguardd runs on the machine's own boot.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "daemon_process.h"
#include "fake_bus.h"
#include "process.h"
#include "spool/record_file.h"
#include "temp_dir.h"
#include "wait.h"

namespace hvguard::test {
namespace {

using guard::DaemonProcess;
using std::chrono::seconds;

constexpr const char* kBefore = "aaaaaaaa-0000-4000-8000-000000000001";
constexpr const char* kNow = "bbbbbbbb-0000-4000-8000-000000000002";
constexpr const char* kLater = "cccccccc-0000-4000-8000-000000000003";
// The machine may have run for long, and the incident shall still be open.
constexpr const char* kConfig =
    "[sampler]\ninterval = \"200ms\"\nuse_bpf = false\n[unclean_reboot]\nopen_for = \"8760h\"\n";

class SpoolTest : public ::testing::Test {
 protected:
  SpoolTest() {
    std::filesystem::create_directories(dir.file("state"));
    std::filesystem::create_directories(dir.file("guard"));
    boot(kNow);
  }

  void boot(const std::string& boot_id) const {
    write("root/proc/sys/kernel/random/boot_id", boot_id + "\n");
  }
  void write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = dir.file(name);
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  void leave_record(v1::BootRecord::State state) const {
    v1::BootRecordFile record;
    auto& boot = *record.mutable_this_boot();
    boot.set_state(state);
    boot.set_boot_id(kBefore);
    const auto machine_start = wall_time_now().since_epoch - boot_time_now().since_boot;
    boot.mutable_last_seen_time()->set_seconds(
        std::chrono::duration_cast<seconds>(machine_start - seconds(200)).count());
    boot.add_incidents()->set_summary("12 tasks wait for sda");
    write("state/boot-record", spool::encode_record(record));
  }
  [[nodiscard]] v1::BootRecordFile record() const {
    const auto decoded = spool::decode_record(read_whole_file(dir.file("state/boot-record")));
    return decoded.value_or(v1::BootRecordFile());
  }
  [[nodiscard]] std::string spool_log() const { return read_whole_file(dir.file("spool.log")); }

  void start_guard() {
    guard = std::make_unique<DaemonProcess>(dir.file("guard"), kConfig);
    ASSERT_TRUE(guard->notified("READY=1")) << guard->errors();
  }
  void start_spool() {
    ProcessSetup setup;
    if (const char* const bus = std::getenv("DBUS_SYSTEM_BUS_ADDRESS")) {
      setup.environment.push_back(std::string("DBUS_SYSTEM_BUS_ADDRESS=") + bus);
    }
    spool = std::make_unique<Process>(
        std::vector<std::string>{HVGUARD_SPOOL_PROGRAM,
                                 "--core-socket",
                                 guard ? guard->socket_path() : dir.file("nobody.sock"),
                                 "--state-dir",
                                 dir.file("state"),
                                 "--root",
                                 dir.file("root")},
        "",
        dir.file("spool.log"),
        setup);
  }
  [[nodiscard]] bool recorded(v1::BootRecord::State state, const std::string& boot_id) const {
    return eventually([&] {
      const auto now = record();
      return now.this_boot().state() == state && now.this_boot().boot_id() == boot_id;
    });
  }
  void stop_spool() {
    spool->signal(SIGTERM);
    EXPECT_EQ(spool->wait(seconds(20)), 0) << spool_log();
  }

  v1::SourceStatus source() {
    guard->forget_notifications();
    const auto frame = guard->frame().value_or(v1::FramePart());
    for (const v1::SourceStatus& one : frame.status().sources()) {
      if (one.source() == "previous_boot") {
        return one;
      }
    }
    return {};
  }
  std::optional<v1::Incident> incident() {
    guard->forget_notifications();
    const auto frame = guard->frame().value_or(v1::FramePart());
    for (const v1::Incident& one : frame.incidents()) {
      if (one.kind() == v1::Incident::KIND_UNCLEAN_REBOOT) {
        return one;
      }
    }
    return std::nullopt;
  }
  bool reaches(v1::SourceStatus::State state) {
    return eventually([&] { return source().state() == state; }, seconds(30));
  }

  TempDir dir;
  std::unique_ptr<DaemonProcess> guard;
  std::unique_ptr<Process> spool;
};

TEST_F(SpoolTest, ABootWithoutACleanEndIsAnIncidentAfterwards) {
  leave_record(v1::BootRecord::STATE_RUNNING);
  write("root/sys/fs/pstore/dmesg-ramoops-0",
        "Panic#1 Part1\n<0>[ 1.0] Kernel panic - not syncing: hung_task: blocked tasks\n");
  start_guard();
  EXPECT_EQ(source().state(), v1::SourceStatus::STATE_UNKNOWN) << "nothing was said yet";
  EXPECT_FALSE(incident());
  start_spool();
  ASSERT_TRUE(reaches(v1::SourceStatus::STATE_OK)) << spool_log();
  ASSERT_TRUE(eventually([&] { return incident().has_value(); }));
  const v1::Incident open = *incident();
  EXPECT_EQ(open.state(), v1::Incident::STATE_OPEN);
  const auto& evidence = open.evidence().unclean_reboot();
  EXPECT_NEAR(static_cast<double>(evidence.down_duration().seconds()), 200, 2);
  EXPECT_EQ(evidence.previous_boot().boot_id(), kBefore);
  EXPECT_EQ(evidence.previous_boot().incidents(0).summary(), "12 tasks wait for sda");
  EXPECT_EQ(evidence.previous_boot().pstore().telling_line(),
            "Kernel panic - not syncing: hung_task: blocked tasks");
  EXPECT_EQ(open.event_time().seconds(), evidence.previous_boot().last_seen_time().seconds());
  EXPECT_TRUE(recorded(v1::BootRecord::STATE_RUNNING, kNow)) << "this boot's record stands now";

  // Neither a restart of hvguardd nor one of hvguard-spool makes it another incident.
  guard->signal(SIGTERM);
  ASSERT_EQ(guard->wait(), 0);
  start_guard();
  ASSERT_TRUE(reaches(v1::SourceStatus::STATE_OK)) << "it did not attach again: " << spool_log();
  ASSERT_TRUE(incident());
  EXPECT_EQ(incident()->incident_id(), open.incident_id());
  EXPECT_EQ(incident()->revision(), open.revision());
  stop_spool();
  start_spool();
  ASSERT_TRUE(eventually([&] { return spool_log().find("connected") != std::string::npos; }));
  EXPECT_EQ(incident()->incident_id(), open.incident_id());
  EXPECT_EQ(record().previous_boot().pstore().files_size(), 1);
}

TEST_F(SpoolTest, ACleanShutdownIsNone) {
  leave_record(v1::BootRecord::STATE_SHUTDOWN);
  start_guard();
  start_spool();
  ASSERT_TRUE(reaches(v1::SourceStatus::STATE_OK)) << spool_log();
  EXPECT_TRUE(guard->notified("WATCHDOG=1", 3));
  EXPECT_FALSE(incident());
}

TEST_F(SpoolTest, TheFirstBootIsNone) {
  start_guard();
  start_spool();
  ASSERT_TRUE(reaches(v1::SourceStatus::STATE_OK)) << spool_log();
  EXPECT_FALSE(incident());
  EXPECT_EQ(record().previous_boot().state(), v1::BootRecord::STATE_NO_RECORD);
}

TEST_F(SpoolTest, AStoppedSpoolKnowsNothingOfTheEnd) {
  leave_record(v1::BootRecord::STATE_STOPPED);
  start_guard();
  start_spool();
  ASSERT_TRUE(eventually([&] {
    return source().detail().find("was stopped at") != std::string::npos;
  })) << spool_log();
  EXPECT_EQ(source().state(), v1::SourceStatus::STATE_UNKNOWN);
  EXPECT_FALSE(incident());
}

TEST_F(SpoolTest, ADamagedRecordIsSaidAndSetAside) {
  write("state/boot-record", "HVGBOOT1 and then rubbish");
  start_guard();
  start_spool();
  ASSERT_TRUE(eventually([&] { return source().detail().find("damaged") != std::string::npos; }))
      << spool_log();
  EXPECT_FALSE(incident());
  EXPECT_TRUE(std::filesystem::exists(dir.file("state/boot-record.bad")));
  EXPECT_TRUE(recorded(v1::BootRecord::STATE_RUNNING, kNow));
}

// Boot by boot, as a host lives: each start finds what the one before left.
TEST_F(SpoolTest, ItsMarksAreWhatTheNextBootFinds) {
  {
    const FakeBus bus(dir.file("bus"), "running");
    start_spool();
    ASSERT_TRUE(recorded(v1::BootRecord::STATE_RUNNING, kNow)) << spool_log();
    stop_spool();
    EXPECT_EQ(record().this_boot().state(), v1::BootRecord::STATE_STOPPED);
  }
  const FakeBus bus(dir.file("bus2"), "stopping");
  start_spool();
  ASSERT_TRUE(recorded(v1::BootRecord::STATE_RUNNING, kNow)) << spool_log();
  stop_spool();
  EXPECT_EQ(record().this_boot().state(), v1::BootRecord::STATE_SHUTDOWN);

  boot(kLater);
  start_spool();
  ASSERT_TRUE(recorded(v1::BootRecord::STATE_RUNNING, kLater)) << spool_log();
  EXPECT_EQ(record().previous_boot().state(), v1::BootRecord::STATE_SHUTDOWN);
  EXPECT_EQ(record().previous_boot().boot_id(), kNow);
  spool->signal(SIGKILL);
  spool->wait(seconds(20));
  EXPECT_EQ(record().this_boot().state(), v1::BootRecord::STATE_RUNNING) << "no mark, no clean end";
}

TEST_F(SpoolTest, ABusThatHangsHoldsUpNothing) {
  const FakeBus bus(dir.file("bus"), "");
  start_spool();
  ASSERT_TRUE(recorded(v1::BootRecord::STATE_RUNNING, kNow)) << spool_log();
  const BootTime told = boot_time_now();
  stop_spool();
  const Nanoseconds taken = boot_time_now() - told;
  EXPECT_GE(taken, seconds(3)) << "it did not even ask, or only once";
  EXPECT_LT(taken, seconds(5)) << "TimeoutStopSec of the unit";
  EXPECT_EQ(record().this_boot().state(), v1::BootRecord::STATE_STOPPED);
}

TEST_F(SpoolTest, ABusThatIsSlowIsAskedAgain) {
  for (const auto& [state, mark] : {std::pair("stopping", v1::BootRecord::STATE_SHUTDOWN),
                                    std::pair("running", v1::BootRecord::STATE_STOPPED)}) {
    const FakeBus bus(dir.file(state), state, 1);
    start_spool();
    ASSERT_TRUE(recorded(v1::BootRecord::STATE_RUNNING, kNow)) << spool_log();
    stop_spool();
    EXPECT_EQ(record().this_boot().state(), mark) << state;
  }
}

TEST_F(SpoolTest, UntilASlowBusAnswersItIsAStop) {
  const FakeBus bus(dir.file("bus"), "");
  start_spool();
  ASSERT_TRUE(recorded(v1::BootRecord::STATE_RUNNING, kNow)) << spool_log();
  spool->signal(SIGTERM);
  EXPECT_TRUE(recorded(v1::BootRecord::STATE_STOPPED, kNow));
  // As systemd does once TimeoutStopSec is over.
  spool->signal(SIGKILL);
  spool->wait(seconds(20));
  EXPECT_EQ(record().this_boot().state(), v1::BootRecord::STATE_STOPPED);
}

TEST_F(SpoolTest, OpenIncidentsAreRecordedWithoutWaitingForTheMinute) {
  leave_record(v1::BootRecord::STATE_RUNNING);
  start_guard();
  start_spool();
  ASSERT_TRUE(eventually(
      [&] {
        guard->forget_notifications();
        const auto now = record().this_boot();
        return now.incidents_size() > 0 && now.figures().has_observe_time();
      },
      seconds(30)))
      << spool_log();
}

TEST_F(SpoolTest, ARecordThatCannotBeWrittenIsReported) {
  std::filesystem::create_directory(dir.file("state/boot-record.new"));
  start_guard();
  start_spool();
  ASSERT_TRUE(reaches(v1::SourceStatus::STATE_DEGRADED)) << spool_log();
  EXPECT_NE(source().detail().find("Is a directory"), std::string::npos) << source().detail();
}

TEST_F(SpoolTest, ASecondOneSaysSo) {
  start_spool();
  ASSERT_TRUE(recorded(v1::BootRecord::STATE_RUNNING, kNow)) << spool_log();
  Process second({HVGUARD_SPOOL_PROGRAM,
                  "--core-socket",
                  dir.file("nobody.sock"),
                  "--state-dir",
                  dir.file("state"),
                  "--root",
                  dir.file("root")},
                 "",
                 dir.file("second.log"));
  EXPECT_EQ(second.wait(seconds(20)), 1);
  EXPECT_NE(read_whole_file(dir.file("second.log")).find("another hvguard-spool"),
            std::string::npos);
}

}  // namespace
}  // namespace hvguard::test
