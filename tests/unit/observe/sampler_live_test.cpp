// The sampler on the machine it runs on: processes that look like VM managers come and go.
#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "observe/sampler.h"
#include "tree.h"
#include "wait.h"

namespace hvguard::observe {
namespace {

using namespace std::chrono_literals;

// A copy of sleep(1) by another name, so that its executable is what a VM manager's would be. Its
// words are a fake command line through which sleep still sees its time: it takes the sum of
// durations, so a name cannot be given; the name is checked by unit and PID instead.
class FakeManager {
 public:
  explicit FakeManager(const test::Tree& tree, const std::string& name) {
    std::filesystem::create_directories(tree.path("bin"));
    std::filesystem::copy_file(
        "/bin/sleep", tree.path("bin/" + name), std::filesystem::copy_options::skip_existing);
    std::string path = tree.path("bin/" + name);
    std::string word = "1000";
    std::vector<char*> arguments = {path.data(), word.data(), nullptr};
    EXPECT_EQ(::posix_spawn(&pid_, path.c_str(), nullptr, nullptr, arguments.data(), nullptr), 0);
  }
  ~FakeManager() { stop(); }
  FakeManager(const FakeManager&) = delete;
  FakeManager& operator=(const FakeManager&) = delete;

  void stop() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      int status = 0;
      ::waitpid(pid_, &status, 0);
      pid_ = 0;
    }
  }
  [[nodiscard]] Pid pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

class SamplerLiveTest : public ::testing::TestWithParam<bool> {
 protected:
  void start() {
    SamplerOptions options;
    options.probe_path = HVGUARD_PROBE;
    options.sampler.use_bpf = GetParam();
    auto sampler = Sampler::start(options, [this](std::shared_ptr<const Snapshot> snapshot) {
      const std::lock_guard lock(mutex_);
      snapshots_.push_back(std::move(snapshot));
    });
    ASSERT_TRUE(sampler) << sampler.error().message;
    sampler_ = std::move(*sampler);
    ASSERT_TRUE(test::wait_for(30s, [&] { return last() != nullptr; }));
  }
  std::shared_ptr<const Snapshot> last() {
    const std::lock_guard lock(mutex_);
    return snapshots_.empty() ? nullptr : snapshots_.back();
  }
  std::optional<VmReading> vm(Pid pid) {
    const auto snapshot = last();
    for (const auto& reading : snapshot->vms) {
      if (reading.id.tgid == pid) {
        return reading;
      }
    }
    return std::nullopt;
  }
  bool departed(Pid pid) {
    const std::lock_guard lock(mutex_);
    for (const auto& snapshot : snapshots_) {
      for (const auto& departure : snapshot->departed_vms) {
        if (departure.id.tgid == pid) {
          return true;
        }
      }
    }
    return false;
  }

  std::mutex mutex_;
  std::vector<std::shared_ptr<const Snapshot>> snapshots_;
  std::unique_ptr<Sampler> sampler_;
};

TEST_P(SamplerLiveTest, AManagerIsSeenAndDroppedWithinASecond) {
  start();
  const test::Tree tree;
  FakeManager manager(tree, "qemu-system-x86_64");
  const BootTime started = boot_time_now();
  ASSERT_TRUE(test::wait_for(10s, [&] {
    const auto found = vm(manager.pid());
    return found && found->identity.probed;
  }));
  EXPECT_LT(boot_time_now() - started, GetParam() ? 1s : 1500ms);
  const auto found = vm(manager.pid());
  EXPECT_EQ(found->identity.executable, "qemu-system-x86_64");
  EXPECT_EQ(found->identity.manager, VmManager::kQemu);
  EXPECT_LE(found->id.start, started);
  EXPECT_LT(started - found->id.start, 5s);
  const Pid pid = manager.pid();
  manager.stop();
  const BootTime stopped = boot_time_now();
  ASSERT_TRUE(test::wait_for(10s, [&] { return !vm(pid) && departed(pid); }));
  EXPECT_LT(boot_time_now() - stopped, 1s);
}

TEST_P(SamplerLiveTest, ThatAManagerIsToldToEndIsKnownAtOnceByEbpf) {
  start();
  const test::Tree tree;
  // Its exec keeps an ignored signal ignored: it is told, and lives on.
  const auto before = ::signal(SIGTERM, SIG_IGN);
  FakeManager manager(tree, "qemu-system-x86_64");
  ::signal(SIGTERM, before);
  ASSERT_TRUE(test::wait_for(10s, [&] { return vm(manager.pid()).has_value(); }));
  const auto shown_at = last()->tick;
  ASSERT_TRUE(test::wait_for(10s, [&] { return last()->tick > shown_at; }));
  EXPECT_FALSE(vm(manager.pid())->stop_signal_time);
  const BootTime told = boot_time_now();
  ::kill(manager.pid(), SIGTERM);
  if (GetParam()) {
    ASSERT_TRUE(test::wait_for(10s, [&] {
      const auto reading = vm(manager.pid());
      return reading && reading->stop_signal_time;
    }));
    EXPECT_LT(boot_time_now() - told, 1s);
    EXPECT_GE(*vm(manager.pid())->stop_signal_time, told);
  } else {
    const auto tick = last()->tick;
    ASSERT_TRUE(test::wait_for(10s, [&] { return last()->tick >= tick + 2; }));
    EXPECT_FALSE(vm(manager.pid())->stop_signal_time);
  }
}

TEST_P(SamplerLiveTest, ManagersThatVanishAtOnceDisturbNothing) {
  start();
  const test::Tree tree;
  for (int i = 0; i < 30; ++i) {
    FakeManager manager(tree, "firecracker");
  }
  const auto before = last()->tick;
  EXPECT_TRUE(test::wait_for(10s, [&] { return last()->tick > before + 1; }));
  EXPECT_NE(last()->source(Source::kVmProbe).state, SourceState::kBlind);
}

TEST_P(SamplerLiveTest, TicksKeepTheirDistance) {
  start();
  const auto first = last();
  ASSERT_TRUE(test::wait_for(10s, [&] { return last()->tick >= first->tick + 2; }));
  const auto later = last();
  EXPECT_GT(later->boot_time, first->boot_time);
  EXPECT_EQ(later->boot_id, first->boot_id);
  for (const auto source :
       {Source::kVmstat, Source::kMeminfo, Source::kLoadavg, Source::kDiskstats}) {
    EXPECT_EQ(later->source(source).state, SourceState::kOk) << later->source(source).detail;
  }
  EXPECT_NE(later->source(Source::kTasks).state, SourceState::kBlind);
  EXPECT_TRUE(later->tasks);
  EXPECT_LT(later->read_duration, 1s);
}

TEST_P(SamplerLiveTest, StopsPromptlyAndDeliversNothingAfter) {
  start();
  const BootTime begin = boot_time_now();
  EXPECT_TRUE(sampler_->stop(5s));
  EXPECT_LT(boot_time_now() - begin, 2s);
  const auto count = [&] {
    const std::lock_guard lock(mutex_);
    return snapshots_.size();
  };
  const auto at_stop = count();
  sampler_.reset();
  EXPECT_EQ(count(), at_stop);
}

TEST_P(SamplerLiveTest, ReconfigureTakesEffect) {
  start();
  SamplerConfig config;
  config.interval = 200ms;
  config.use_bpf = false;
  VmFinderConfig finder;
  finder.executables = {"hvg-other-*"};
  sampler_->reconfigure(config, finder);
  ASSERT_TRUE(test::wait_for(10s, [&] { return last()->interval == 200ms; }));
  EXPECT_EQ(last()->source(Source::kTasks).state, SourceState::kDegraded);
  const test::Tree tree;
  const FakeManager manager(tree, "hvg-other-1");
  EXPECT_TRUE(test::wait_for(10s, [&] { return vm(manager.pid()).has_value(); }));
}

INSTANTIATE_TEST_SUITE_P(Sources,
                         SamplerLiveTest,
                         ::testing::Values(true, false),
                         [](const auto& instance) { return instance.param ? "Bpf" : "Proc"; });

TEST(SamplerStart, WithoutProcFails) {
  const test::Tree tree;
  SamplerOptions options;
  options.root = tree.root();
  const auto sampler = Sampler::start(options, [](const std::shared_ptr<const Snapshot>&) {});
  ASSERT_FALSE(sampler);
  EXPECT_NE(sampler.error().message.find("/proc"), std::string::npos);
}

}  // namespace
}  // namespace hvguard::observe
