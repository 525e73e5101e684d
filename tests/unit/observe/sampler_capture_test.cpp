// The whole sampler over a captured tree of a hypervisor: tests/fixtures/hypervisor-6.1, trimmed.
#include <condition_variable>
#include <mutex>

#include <gtest/gtest.h>

#include "observe/sampler.h"

namespace hvguard::observe {
namespace {

using namespace std::chrono_literals;

TEST(SamplerCapture, ReadsATrimmedHypervisor) {
  std::mutex mutex;
  std::condition_variable arrived;
  std::shared_ptr<const Snapshot> latest;
  SamplerOptions options;
  options.root = HVGUARD_FIXTURES "/hypervisor-6.1";
  options.probe_path = HVGUARD_PROBE;
  options.sampler.interval = 200ms;
  auto sampler = Sampler::start(options, [&](std::shared_ptr<const Snapshot> snapshot) {
    const std::lock_guard lock(mutex);
    latest = std::move(snapshot);
    arrived.notify_all();
  });
  ASSERT_TRUE(sampler) << sampler.error().message;
  std::unique_lock lock(mutex);
  const bool complete = arrived.wait_for(lock, 20s, [&] {
    return latest && latest->vms.size() == 2 && latest->vms[0].identity.probed &&
           latest->vms[1].identity.probed && latest->vms[0].topology.foreign_process_count;
  });
  const auto snapshot = latest;
  lock.unlock();
  EXPECT_TRUE((*sampler)->stop(5s));
  ASSERT_TRUE(complete);

  EXPECT_EQ(snapshot->host.kernel_release, "6.1.0-56-amd64");
  ASSERT_TRUE(snapshot->host.meminfo);
  EXPECT_TRUE(snapshot->host.memory_pressure);
  EXPECT_EQ(snapshot->host.hung_task->timeout_seconds, 120U);
  ASSERT_EQ(snapshot->devices.size(), 2U);
  EXPECT_EQ(snapshot->devices[1].beneath, (std::vector<DeviceId>{snapshot->devices[0].id}));

  const auto& libvirt = snapshot->vms[0];
  EXPECT_EQ(libvirt.identity.name, "db-1");
  EXPECT_EQ(libvirt.identity.guest_memory_bytes, 2ULL << 30);
  EXPECT_EQ(libvirt.identity.unit, "machine-qemu\\x2d1\\x2ddb\\x2d1.scope");
  EXPECT_EQ(libvirt.cgroups.size(), 4U);
  EXPECT_EQ(libvirt.io_attribution, IoAttribution::kCgroup);
  ASSERT_TRUE(libvirt.cgroup);
  EXPECT_EQ(libvirt.cgroup->pids_max, 16384U);

  const auto& firecracker = snapshot->vms[1];
  EXPECT_EQ(firecracker.identity.name, "fn-7");
  EXPECT_EQ(firecracker.identity.manager, VmManager::kFirecracker);
  EXPECT_EQ(firecracker.topology.foreign_process_count, 1U) << "it shares its service";
  EXPECT_EQ(firecracker.io_attribution, IoAttribution::kSubmitter);

  ASSERT_TRUE(snapshot->tasks);
  ASSERT_EQ(snapshot->tasks->blocked.size(), 1U);
  EXPECT_EQ(snapshot->tasks->blocked[0].comm, "jbd2/dm-0-8");
  EXPECT_EQ(snapshot->source(Source::kTasks).state, SourceState::kDegraded);
  EXPECT_EQ(snapshot->source(Source::kBlockIo).state, SourceState::kDegraded);
}

}  // namespace
}  // namespace hvguard::observe
