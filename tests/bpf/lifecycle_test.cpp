// Real processes that look like VM managers, and a real KVM VM.
#include "observe/ebpf/lifecycle.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/kvm.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "lab.h"

namespace hvguard::observe {
namespace {

const std::vector<std::string> kGlobs = {"labvmm-*-x86", "labexact"};

LifecycleReader open_reader(const std::vector<std::string>& globs = kGlobs) {
  auto reader = LifecycleReader::open(probe_bpf("/"), globs);
  if (!reader) {
    ADD_FAILURE() << reader.error().message;
    std::abort();
  }
  return std::move(*reader);
}

// A copy of sleep under another name.
std::string program(const lab::Directory& directory, const std::string& name) {
  const std::string path = directory.path() + "/" + name;
  EXPECT_EQ(std::system(("cp /bin/sleep " + path).c_str()), 0);
  return path;
}

void run_forever(const std::string& path) {
  ::execl(path.c_str(), "any", "1000", nullptr);
}

std::optional<LifecycleEvent> wait_event(LifecycleReader& reader,
                                         LifecycleEventType type,
                                         Pid tgid) {
  std::optional<LifecycleEvent> found;
  lab::wait_for([&] {
    pollfd wait{.fd = reader.event_fd(), .events = POLLIN, .revents = 0};
    ::poll(&wait, 1, 100);
    auto events = reader.events();
    EXPECT_TRUE(events);
    for (const LifecycleEvent& event : *events) {
      if (event.type == type && event.process.tgid == tgid) {
        found = event;
      }
    }
    return found.has_value();
  });
  return found;
}

std::optional<ManagerProcess> find(LifecycleReader& reader, Pid tgid) {
  const auto found = reader.scan();
  EXPECT_TRUE(found);
  for (const ManagerProcess& process : *found) {
    if (process.tgid == tgid) {
      return process;
    }
  }
  return std::nullopt;
}

TEST(BpfLifecycle, ExecOfAVmManagerIsTold) {
  const lab::Directory directory;
  const std::string path = program(directory, "labvmm-one-x86");
  LifecycleReader reader = open_reader();
  const BootTime before = boot_time_now();
  const lab::Process manager([&] { run_forever(path); });

  const auto exec = wait_event(reader, LifecycleEventType::kExec, manager.pid());
  ASSERT_TRUE(exec);
  EXPECT_EQ(exec->process.executable, "labvmm-one-x86");
  EXPECT_EQ(exec->process.comm, "labvmm-one-x86");
  EXPECT_NE(exec->process.cgroup.value, 0U);
  EXPECT_GE(exec->time, before);
  EXPECT_LT(exec->time - before, std::chrono::seconds(1));
  EXPECT_LT(std::chrono::abs(exec->process.start - lab::start_time(manager.pid())),
            std::chrono::milliseconds(11));
  EXPECT_EQ(reader.dropped_count(), 0U);
}

TEST(BpfLifecycle, OtherNamesAndUnwatchedExitsMakeNoEvents) {
  const lab::Directory directory;
  LifecycleReader reader = open_reader();
  // The first shares the glob's literal prefix but not its end; the second is longer than the name.
  const std::vector<std::string> others = {"labvmm-one-arm", "labexact2", "sleep"};
  for (const std::string& name : others) {
    const std::string path = program(directory, name);
    lab::Process process([&] { ::execl(path.c_str(), path.c_str(), "0", nullptr); });
    EXPECT_EQ(process.wait(), 0);
  }
  const std::string wanted = program(directory, "labexact");
  lab::Process process([&] { ::execl(wanted.c_str(), wanted.c_str(), "0", nullptr); });
  EXPECT_EQ(process.wait(), 0);
  const auto events = reader.events();
  ASSERT_TRUE(events);
  ASSERT_EQ(events->size(), 1U);
  EXPECT_EQ(events->front().process.executable, "labexact");
  EXPECT_EQ(events->front().type, LifecycleEventType::kExec);
}

TEST(BpfLifecycle, SignalsThatEndAWatchedProcessAreTold) {
  LifecycleReader reader = open_reader();
  for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGTERM, SIGKILL}) {
    lab::Process process([] { ::pause(); });
    ASSERT_TRUE(reader.watch(process.pid(), BootTime{}));
    const BootTime before = boot_time_now();
    ::kill(process.pid(), signal);
    const auto told = wait_event(reader, LifecycleEventType::kStopSignal, process.pid());
    ASSERT_TRUE(told) << "signal " << signal;
    EXPECT_LT(std::chrono::abs(told->process.start - lab::start_time(process.pid())),
              std::chrono::milliseconds(11));
    EXPECT_GE(told->time, before);
    EXPECT_LT(told->time - before, std::chrono::seconds(1));
    reader.unwatch(process.pid());
  }
}

TEST(BpfLifecycle, OtherSignalsAndOtherProcessesAreNotTold) {
  LifecycleReader reader = open_reader();
  const lab::Process watched([] {
    for (;;) {
      ::pause();
    }
  });
  lab::Process other([] { ::pause(); });
  ASSERT_TRUE(reader.watch(watched.pid(), BootTime{}));
  ::kill(watched.pid(), SIGCONT);
  ::kill(watched.pid(), SIGWINCH);
  other.kill();
  EXPECT_TRUE(reader.events()->empty());

  reader.unwatch(watched.pid());
  ::kill(watched.pid(), SIGTERM);
  EXPECT_TRUE(reader.events()->empty());
}

TEST(BpfLifecycle, ScanFindsManagersThatAlreadyRun) {
  const lab::Directory directory;
  const std::string path = program(directory, "labvmm-two-x86");
  const std::string long_path =
      program(directory, "labvmm-with-a-name-longer-than-any-inline-dentry-name-x86");
  const std::string other_path = program(directory, "unrelated");
  lab::Process manager([&] { run_forever(path); });
  lab::Process long_named([&] { run_forever(long_path); });
  lab::Process other([&] { run_forever(other_path); });
  LifecycleReader reader = open_reader();
  ASSERT_TRUE(lab::wait_for([&] { return find(reader, manager.pid()).has_value(); }));
  ASSERT_TRUE(lab::wait_for([&] { return find(reader, long_named.pid()).has_value(); }));
  EXPECT_EQ(find(reader, manager.pid())->executable, "labvmm-two-x86");
  EXPECT_FALSE(find(reader, manager.pid())->has_kvm);
  // Only comm is known of it.
  EXPECT_EQ(find(reader, long_named.pid())->executable, "");
  EXPECT_EQ(find(reader, long_named.pid())->comm, "labvmm-with-a-n");
  EXPECT_FALSE(find(reader, other.pid()));

  // Other globs from now on, one of them with nothing before its wildcard.
  ASSERT_TRUE(reader.set_executables(std::vector<std::string>{"*related"}));
  EXPECT_TRUE(find(reader, other.pid()));
  EXPECT_FALSE(find(reader, manager.pid()));
  const std::vector<std::string> too_many(33, "x");
  EXPECT_FALSE(reader.set_executables(too_many));
  EXPECT_TRUE(find(reader, other.pid()));
}

TEST(BpfLifecycle, ScanFindsKvmDescriptors) {
  const lab::SharedMemory shared;
  const lab::Directory directory;
  // Two VMs and an ordinary file by the name of the KVM inode: one record, and none for the file.
  const lab::Process owner([&] {
    const int kvm = ::open("/dev/kvm", O_RDWR | O_CLOEXEC);
    const bool made =
        kvm >= 0 && ::ioctl(kvm, KVM_CREATE_VM, 0) >= 0 && ::ioctl(kvm, KVM_CREATE_VM, 0) >= 0;
    lab::store(shared->started, made ? 1 : 2);
    ::pause();
  });
  const lab::Process impostor([&] {
    lab::make_file(directory.path() + "/kvm-vm", 0);
    const int fd = ::open((directory.path() + "/kvm-vm").c_str(), O_RDWR);
    lab::store(shared->go, fd >= 0 ? 1 : 2);
    ::pause();
  });
  ASSERT_TRUE(
      lab::wait_for([&] { return lab::load(shared->started) != 0 && lab::load(shared->go) == 1; }));
  ASSERT_EQ(lab::load(shared->started), 1) << "/dev/kvm makes no VM here";
  LifecycleReader reader = open_reader();
  const auto found = find(reader, owner.pid());
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->has_kvm);
  EXPECT_EQ(found->executable, "bpf_test");
  EXPECT_EQ(found->comm, "bpf_test");
  EXPECT_FALSE(find(reader, impostor.pid()));
}

// The ring holds some 600 events: the rest must be counted, and later ones arrive again.
TEST(BpfLifecycle, LostEventsAreCounted) {
  LifecycleReader reader = open_reader(std::vector<std::string>{"labflood"});
  const lab::Directory directory;
  const std::string path = program(directory, "labflood");
  constexpr int kProcesses = 1500;
  lab::Process flood([&] {
    for (int i = 0; i < kProcesses; ++i) {
      const pid_t one = ::fork();
      if (one == 0) {
        ::execl(path.c_str(), path.c_str(), "0", nullptr);
        ::_exit(1);
      }
      ::waitpid(one, nullptr, 0);
    }
  });
  EXPECT_EQ(flood.wait(std::chrono::seconds(90)), 0);
  const auto events = reader.events();
  ASSERT_TRUE(events);
  EXPECT_LT(events->size(), static_cast<std::size_t>(kProcesses));
  EXPECT_EQ(events->size() + reader.dropped_count(), static_cast<std::uint64_t>(kProcesses));
  lab::Process later([&] { run_forever(path); });
  EXPECT_TRUE(wait_event(reader, LifecycleEventType::kExec, later.pid()));
}

}  // namespace
}  // namespace hvguard::observe
