// hvguard-probe and its client: the real program over a fixture tree, and stand-ins that hang, die
// or are not there.
#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <sys/stat.h>

#include <gtest/gtest.h>

#include "observe/probe_client.h"
#include "observe/probe_protocol.h"
#include "tree.h"
#include "wait.h"

namespace hvguard::observe {
namespace {

using namespace std::chrono_literals;
using test::Tree;
using test::wait_for;
using test::words;

std::vector<ProbeResult> collect(ProbeClient& client, std::size_t count, Nanoseconds timeout) {
  std::vector<ProbeResult> results;
  const BootTime now =
      boot_time_now();  // stands still: no deadline passes because of a slow machine
  wait_for(60s, [&] {
    for (auto& result : client.run(now, timeout)) {
      results.push_back(std::move(result));
    }
    return results.size() >= count;
  });
  return results;
}

// A shell script in place of hvguard-probe.
std::string stand_in(const Tree& tree, const std::string& body) {
  tree.file("probe", "#!/bin/sh\n" + body + "\n");
  ::chmod(tree.path("probe").c_str(), 0755);
  return tree.path("probe");
}

TEST(ProbeProtocol, WhatIsWrittenIsRead) {
  ProbeAnswer answer;
  answer.id = 7;
  answer.stage = ProbeStage::kProcess;
  answer.number = -1;
  answer.flag = true;
  answer.text = std::string("a\0b", 3);
  answer.error = "why";
  const auto read = decode_answer(encode(answer));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->id, 7U);
  EXPECT_EQ(read->stage, ProbeStage::kProcess);
  EXPECT_EQ(read->number, -1);
  EXPECT_TRUE(read->flag);
  EXPECT_FALSE(read->gone);
  EXPECT_EQ(read->text, answer.text);
  EXPECT_EQ(read->error, "why");
  const auto request = decode_request(encode(ProbeRequest{3, 44, "x.scope"}));
  ASSERT_TRUE(request);
  EXPECT_EQ(request->unit, "x.scope");
}

TEST(ProbeProtocol, EveryCutAndTailIsRefused) {
  ProbeAnswer answer;
  answer.text = "text";
  const std::string whole = encode(answer);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(decode_answer(std::string_view(whole).substr(0, size))) << size;
  }
  EXPECT_FALSE(decode_answer(whole + "x"));
  EXPECT_FALSE(decode_request(encode(ProbeRequest{1, 0, ""}))) << "no process";
}

TEST(ProbeProtocol, LongestMessageFits) {
  ProbeAnswer answer;
  answer.stage = ProbeStage::kCommandLine;
  answer.text = std::string(kMaxCommandLineBytes * 2, 'x');
  answer.second = answer.error = answer.text;
  EXPECT_LE(encode(answer).size(), kMaxProbeMessageBytes);
  answer.stage = ProbeStage::kBus;
  EXPECT_LE(encode(answer).size(), kMaxProbeMessageBytes);
}

TEST(Probe, ReadsAProcess) {
  const Tree tree;
  tree.add_host();
  tree.add_process({.pid = 77,
                    .comm = "qemu-system-x86",
                    .executable = "/opt/qemu/qemu-system-x86_64 (deleted)",
                    .command_line = words("qemu -name web"),
                    .cgroup = "/m.slice/a.scope/libvirt/emulator",
                    .start_ticks = 812});
  tree.file("proc/77/task/78/cgroup", "0::/m.slice/a.scope/libvirt/vcpu0\n");
  tree.link("proc/77/fd/9", "anon_inode:kvm-vm");
  ProbeClient client(ProbeKind::kProcess, HVGUARD_PROBE, tree.root());
  ASSERT_TRUE(client.request(77, {}));
  const auto results = collect(client, 1, 10s);
  ASSERT_EQ(results.size(), 1U);
  const auto& result = results[0];
  EXPECT_EQ(result.error, "");
  EXPECT_EQ(result.cgroup_path, "/m.slice/a.scope/libvirt") << "what holds all threads";
  EXPECT_EQ(result.executable, "qemu-system-x86_64");
  EXPECT_EQ(result.start, BootTime{8120ms});
  EXPECT_EQ(result.command_line, words("qemu -name web"));
  EXPECT_EQ(result.holds_kvm_vm, true);
}

TEST(Probe, LongCommandLinesAreCut) {
  const Tree tree;
  tree.add_host();
  tree.add_process({.pid = 5, .command_line = std::string(kMaxCommandLineBytes + 100, 'x')});
  ProbeClient client(ProbeKind::kProcess, HVGUARD_PROBE, tree.root());
  ASSERT_TRUE(client.request(5, {}));
  const auto results = collect(client, 1, 10s);
  ASSERT_EQ(results.size(), 1U);
  ASSERT_TRUE(results[0].command_line) << results[0].error;
  EXPECT_EQ(results[0].command_line->size(), kMaxCommandLineBytes);
}

TEST(Probe, AVanishedProcessIsGoneNotAnError) {
  const Tree tree;
  tree.add_host();
  tree.add_process({.pid = 6});
  tree.remove("proc/6/cmdline");  // vanished in the middle
  ProbeClient client(ProbeKind::kProcess, HVGUARD_PROBE, tree.root());
  ASSERT_TRUE(client.request(5, {}));
  ASSERT_TRUE(client.request(6, {}));
  const auto results = collect(client, 2, 10s);
  ASSERT_EQ(results.size(), 2U);
  EXPECT_TRUE(results[0].gone);
  EXPECT_TRUE(results[1].gone);
  EXPECT_TRUE(results[1].executable);
}

TEST(Probe, OneThatHangsIsKilledAndTheNextIsServedByAnother) {
  const Tree tree;
  tree.add_host();
  tree.add_process({.pid = 5});
  tree.add_process({.pid = 6});
  // Hangs the first time it is started, then is the real one.
  const std::string path =
      stand_in(tree,
               "if mkdir " + tree.path("once") + " 2>/dev/null; then echo $$ > " +
                   tree.path("pid") + "; exec sleep 1000; fi\nexec " + HVGUARD_PROBE + " \"$@\"");
  ProbeClient client(ProbeKind::kProcess, path, tree.root());
  ASSERT_TRUE(client.request(5, {}));
  ASSERT_TRUE(client.request(6, {}));
  const BootTime begin = boot_time_now();
  EXPECT_TRUE(client.run(begin, 2s).empty());
  ASSERT_TRUE(wait_for(60s, [&] { return std::filesystem::exists(tree.path("once")); }));
  EXPECT_TRUE(client.run(begin + 1999ms, 2s).empty());
  const auto stuck = client.run(begin + 2s, 2s);
  ASSERT_EQ(stuck.size(), 1U);
  EXPECT_EQ(stuck[0].tgid, 5);
  EXPECT_TRUE(stuck[0].timed_out);
  EXPECT_NE(stuck[0].error.find("took longer"), std::string::npos) << stuck[0].error;
  EXPECT_EQ(client.killed_count(), 1U);
  const auto next = collect(client, 1, 2s);
  ASSERT_EQ(next.size(), 1U);
  EXPECT_EQ(next[0].tgid, 6);
  EXPECT_EQ(next[0].error, "");
  EXPECT_EQ(client.killed_count(), 1U);
}

// Opening a FIFO for reading waits for a writer, as reading cmdline waits for mmap_lock.
TEST(Probe, WhatWasReadBeforeItHungIsKept) {
  const Tree tree;
  tree.add_host();
  tree.add_process({.pid = 5, .executable = "/usr/bin/kvm", .cgroup = "/stuck.service"});
  tree.remove("proc/5/cmdline");
  ASSERT_EQ(::mkfifo(tree.path("proc/5/cmdline").c_str(), 0600), 0);
  ProbeClient client(ProbeKind::kProcess, HVGUARD_PROBE, tree.root());
  ASSERT_TRUE(client.request(5, {}));
  std::vector<ProbeResult> results;
  ASSERT_TRUE(wait_for(60s, [&] {  // the real clock: nothing else tells that the probe is stuck
    results = client.run(boot_time_now(), 5s);
    return !results.empty();
  }));
  EXPECT_TRUE(results[0].timed_out);
  EXPECT_EQ(results[0].cgroup_path, "/stuck.service");
  EXPECT_EQ(results[0].executable, "kvm");
  EXPECT_FALSE(results[0].command_line);
  EXPECT_NE(results[0].error.find("reading cmdline"), std::string::npos) << results[0].error;
}

TEST(Probe, OneThatDiesIsReplaced) {
  const Tree tree;
  tree.add_host();
  tree.add_process({.pid = 5});
  ProbeClient client(ProbeKind::kProcess, stand_in(tree, "exit 1"), tree.root());
  ASSERT_TRUE(client.request(5, {}));
  ASSERT_TRUE(client.request(5, {}));
  const auto results = collect(client, 2, 10s);
  ASSERT_EQ(results.size(), 2U);
  EXPECT_EQ(results[0].error, "hvguard-probe ended before it answered");
  EXPECT_EQ(results[1].error, "hvguard-probe ended before it answered");
  EXPECT_EQ(client.killed_count(), 0U);
}

TEST(Probe, OneThatCannotBeStartedSaysWhy) {
  const Tree tree;
  tree.add_host();
  ProbeClient client(ProbeKind::kProcess, tree.path("nothing"), tree.root());
  ASSERT_TRUE(client.request(5, {}));
  const auto results = collect(client, 1, 10s);
  ASSERT_EQ(results.size(), 1U);
  EXPECT_NE(results[0].error.find("nothing: No such file"), std::string::npos) << results[0].error;
  EXPECT_FALSE(client.start_error().empty());
  ProbeClient none(ProbeKind::kProcess, "", tree.root());
  ASSERT_TRUE(none.request(5, {}));
  EXPECT_EQ(collect(none, 1, 10s).size(), 1U);
}

TEST(Probe, QueueIsBoundedAndCancelled) {
  ProbeClient client(ProbeKind::kProcess, "", "/");
  for (std::size_t i = 0; i < kMaxProbeQueue; ++i) {
    ASSERT_TRUE(client.request(static_cast<Pid>(i % 2 + 1), {}));
  }
  EXPECT_FALSE(client.request(3, {}));
  client.cancel(1);
  EXPECT_EQ(client.queue_size(), kMaxProbeQueue / 2);
}

// No system bus here, or one that knows no such unit: an answer either way, and soon.
TEST(Probe, BusAnswersWithOrWithoutABus) {
  ProbeClient client(ProbeKind::kBus, HVGUARD_PROBE, "/");
  ASSERT_TRUE(client.request(1, "no-such-hvguard-test.scope"));
  const auto results = collect(client, 1, 10s);
  ASSERT_EQ(results.size(), 1U);
  EXPECT_FALSE(results[0].timed_out);
}

}  // namespace
}  // namespace hvguard::observe
