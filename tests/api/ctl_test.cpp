// hvguardctl as a user runs it, end to end: exit codes, messages, JSON.
#include <atomic>
#include <csignal>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "gateway_process.h"

namespace hvguard::test {
namespace {

struct Answer {
  int code = -1;
  std::string out;
  std::string err;
};

class CtlTest : public GatewayTest {
 protected:
  Answer ctl(const std::vector<std::string>& arguments) {
    const std::string stem = dir.file("ctl" + std::to_string(++runs));
    std::vector<std::string> all = {
        HVGUARD_CTL_PROGRAM, "--socket", socket_path(), "--core-socket", core_path()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    Process process(all, stem + ".out", stem + ".err");
    const auto code = process.wait(std::chrono::seconds(20));
    return {code.value_or(-1), read_whole_file(stem + ".out"), read_whole_file(stem + ".err")};
  }

  // Exit code of python3 -m json.tool over the text.
  int json_check(const std::string& text) {
    const std::string path = dir.file("check" + std::to_string(++runs));
    std::FILE* file = std::fopen(path.c_str(), "w");
    std::fwrite(text.data(), 1, text.size(), file);
    std::fclose(file);
    Process process({"/usr/bin/python3", "-m", "json.tool", path}, "", "");
    return process.wait(std::chrono::seconds(10)).value_or(-1);
  }

  int runs = 0;
};

TEST_F(CtlTest, EveryCommandWorksThroughTheGatewayAndDirectly) {
  start_both();
  const std::vector<std::pair<std::vector<std::string>, std::string>> commands = {
      {{"status"}, "hv07"},
      {{"vms"}, "vm02"},
      {{"vms", "--sort", "latency", "--filter", "vm0*"}, "vm03"},
      {{"vm", "vm01"}, "machine-qemu-1.scope"},
      {{"tasks", "--stack", "--all"}, "sb_start_write"},
      {{"incidents"}, "panic_forecast"},
      {{"incidents", "list", "--kind", "io_stall"}, "1a2b0003"},
      {{"incidents", "show", "1a2b0001"}, "fsfreeze -u"},
      {{"limits", "--vm", "vm01"}, "in_force"},
      {{"why", "vm01"}, "victims still wait"},
      {{"mode"}, "mode observe"},
      {{"version"}, "hvguardd 0.1.0"},
  };
  for (const bool direct : {false, true}) {
    for (const auto& [command, wanted] : commands) {
      std::vector<std::string> arguments = command;
      if (direct) {
        arguments.insert(arguments.begin(), "--direct");
      }
      tell();  // or the data grow stale
      const Answer table = ctl(arguments);
      EXPECT_EQ(table.code, 0) << command[0] << table.err;
      EXPECT_NE(table.out.find(wanted), std::string::npos) << table.out;
      EXPECT_EQ(table.err, "");
      EXPECT_EQ(table.out.find('\x1b'), std::string::npos) << "colour in a pipe";
      arguments.insert(arguments.begin(), "--json");
      tell();
      const Answer json = ctl(arguments);
      EXPECT_EQ(json.code, 0) << command[0] << json.err;
      EXPECT_EQ(json_check(json.out), 0) << json.out;
    }
  }
}

TEST_F(CtlTest, ChangesGoThroughTheGatewayAndDirectly) {
  ASSERT_EQ(::geteuid(), 0U) << "this test needs root: only root may change something";
  start_both();
  std::atomic<int> callers = 0;
  core->on_admin([&](const v1::AdminCall& call) {
    callers += call.has_caller() ? 1 : 0;
    v1::AdminReply reply;
    if (call.has_set_limit()) {
      *reply.mutable_set_limit()->mutable_limit() = sample_limit(1, kSampleTime);
    } else {
      reply.mutable_set_cordon()->set_cordoned(call.set_cordon().cordoned());
    }
    return std::optional(reply);
  });
  for (const bool direct : {false, true}) {
    std::vector<std::string> set = {"limit",
                                    "set",
                                    "vm01",
                                    "read_bytes",
                                    "40M",
                                    "--device",
                                    "nvme0n1",
                                    "--for",
                                    "10m",
                                    "--reason",
                                    "noisy"};
    std::vector<std::string> cordon = {"cordon", "--reason", "disk"};
    if (direct) {
      set.insert(set.begin(), "--direct");
      cordon.insert(cordon.begin(), "--direct");
    }
    const Answer limited = ctl(set);
    EXPECT_EQ(limited.code, 0) << limited.err;
    EXPECT_NE(limited.out.find("io.max rbps on 259:0 nvme0n1 of VM vm01 to 40 MiB/s"),
              std::string::npos)
        << limited.out;
    EXPECT_EQ(ctl(cordon).out, "closed for new VMs\n");
  }
  EXPECT_EQ(callers, 2) << "only the gateway says for whom it asks";
}

TEST_F(CtlTest, TheGatewayAndTheGuardSayTheSame) {
  start_both();
  const Answer through = ctl({"--json", "incidents", "--all"});
  const Answer direct = ctl({"--json", "--direct", "incidents", "--all"});
  EXPECT_EQ(through.out, direct.out);
}

TEST_F(CtlTest, ExitCodesAndRemedies) {
  start_both();
  const Answer missing = ctl({"vm", "nosuch"});
  EXPECT_EQ(missing.code, 4);
  EXPECT_NE(missing.err.find("`hvguardctl vms` lists them"), std::string::npos) << missing.err;
  EXPECT_EQ(ctl({"incidents", "show", "ffff"}).code, 4);
  EXPECT_EQ(ctl({"incidents", "show", "1a2b"}).code, 2);
  EXPECT_EQ(ctl({}).code, 2);
  EXPECT_EQ(ctl({"vms", "--sort", "weight"}).code, 2);
  EXPECT_EQ(ctl({"incidents", "--kind", "nosuch"}).code, 2);
  EXPECT_EQ(ctl({"--help"}).code, 0);
  EXPECT_EQ(ctl({"--direct", "incidents", "watch"}).code, 2);
}

TEST_F(CtlTest, StaleDataAreShownAndSaidToBeStale) {
  start_both();
  ASSERT_TRUE(eventually([&] { return ctl({"vms"}).code == 6; }));
  const Answer stale = ctl({"status"});
  EXPECT_EQ(stale.code, 6);
  EXPECT_NE(stale.out.find("STALE"), std::string::npos) << stale.out;
  EXPECT_NE(stale.err.find("systemctl status hvguardd"), std::string::npos) << stale.err;
}

TEST_F(CtlTest, StatusFallsBackToTheGuardForRoot) {
  core = std::make_unique<FakeCore>(core_path());
  tell();
  const Answer answer = ctl({"status"});
  if (::geteuid() == 0) {
    EXPECT_EQ(answer.code, 0) << answer.err;
    EXPECT_NE(answer.out.find("hv07"), std::string::npos);
    EXPECT_NE(answer.err.find("asking hvguardd itself"), std::string::npos) << answer.err;
  } else {
    EXPECT_EQ(answer.code, 3);
  }
  EXPECT_EQ(ctl({"vms"}).code, 3);
}

TEST_F(CtlTest, NothingRunsIsSaidWithTheRemedy) {
  const Answer answer = ctl({"vms"});
  EXPECT_EQ(answer.code, 3);
  EXPECT_NE(answer.err.find("no such socket: is it running? `systemctl status hvguard-gateway`"),
            std::string::npos)
      << answer.err;
  const Answer direct = ctl({"--direct", "vms"});
  EXPECT_EQ(direct.code, 3);
  EXPECT_NE(direct.err.find("`systemctl status hvguardd`"), std::string::npos) << direct.err;
}

TEST_F(CtlTest, WatchPrintsTheSnapshotAndChangesUntilTheGatewayStops) {
  start_both();
  Process watch({HVGUARD_CTL_PROGRAM, "--socket", socket_path(), "incidents", "watch"},
                dir.file("watch.out"),
                dir.file("watch.err"));
  const auto out = [&] { return read_whole_file(dir.file("watch.out")); };
  ASSERT_TRUE(eventually([&] {
    return out().find(fmt::format("-- {} until now", kSampleIncidents)) != std::string::npos;
  }));
  auto frame = sample_frame(++tick, wall_time_now());
  frame.incidents[3].set_state(v1::Incident::STATE_RESOLVED);
  frame.incidents[3].set_summary("it is over");
  core->tell(frame);
  ASSERT_TRUE(eventually([&] { return out().find("it is over") != std::string::npos; })) << out();
  gateway->signal(SIGTERM);
  EXPECT_EQ(watch.wait(std::chrono::seconds(5)), 3);
}

}  // namespace
}  // namespace hvguard::test
