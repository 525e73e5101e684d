// A disk that stops answering: what is in flight, since when, and that it comes back to nothing.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "block_io_fixture.h"

namespace hvguard::observe {
namespace {

using lab::Direction;
using std::chrono::milliseconds;

TEST(BpfBlockIoStall, DeadDiskShowsWhatIsInFlightAndSinceWhen) {
  const lab::Directory directory;
  lab::DeadDisk dead(directory);
  BlockIoReader reader = open_block_io();
  const std::string path = dead.disk().path();
  Manager before([path] { lab::direct_io(path, Direction::kWrite, 5, 4096); });
  Manager stuck([path] { lab::threaded_io(path, Direction::kWrite, 4, 1); });
  const VmId vm = stuck.id();
  const VmId earlier = before.id();
  ASSERT_TRUE(reader.set_vm(earlier, IoAttribution::kSubmitter, {}));
  ASSERT_TRUE(reader.set_vm(vm, IoAttribution::kSubmitter, {}));
  EXPECT_EQ(before.run(), 0);

  dead.freeze();
  const BootTime started = boot_time_now();
  stuck.go();
  std::optional<BlockIoReading> reading;
  ASSERT_TRUE(lab::wait_for([&] {
    reading = reading_of(reader, vm, dead.disk().id());
    return reading && reading->in_flight_count.value_or(0) == 4;
  }));
  const BootTime found = boot_time_now();
  EXPECT_FALSE(reading->last_completion);
  ASSERT_TRUE(reading->last_idle);
  EXPECT_GE(*reading->last_idle, started - milliseconds(2));  // kept to about a millisecond
  EXPECT_LE(*reading->last_idle, found);

  // It ages: the same start however late the look.
  ASSERT_TRUE(lab::wait_for([&] { return boot_time_now() - started > milliseconds(700); }));
  const auto later = reading_of(reader, vm, dead.disk().id());
  ASSERT_TRUE(later && later->last_idle);
  EXPECT_EQ(later->in_flight_count, std::optional<std::uint64_t>(4));
  EXPECT_LT(std::chrono::abs(*later->last_idle - *reading->last_idle), milliseconds(3));
  const auto untouched = reading_of(reader, earlier, dead.disk().id());
  EXPECT_EQ(untouched->in_flight_count, std::optional<std::uint64_t>(0));

  dead.revive();
  EXPECT_EQ(stuck.run(), 0);
  const auto after = reading_of(reader, vm, dead.disk().id());
  EXPECT_EQ(after->in_flight_count, std::optional<std::uint64_t>(0));
  ASSERT_TRUE(after->last_completion);
  EXPECT_GT(*after->last_completion - started, milliseconds(700));
  EXPECT_EQ(counts(*after, IoOperation::kWrite).bytes.value, 4U * 4096U);
  // What hung took its time in the histogram, too: 2^19 us is 0.52 s.
  std::uint64_t slow = 0;
  for (std::size_t bucket = 19; bucket < kLatencyBuckets; ++bucket) {
    slow += counts(*after, IoOperation::kWrite).queue_time.at(bucket);
  }
  EXPECT_EQ(slow, 4U);
}

// The request into which flushes are pooled has no bio and no owner: ours must be seen all the
// same.
TEST(BpfBlockIoStall, FlushThatNeverReturnsIsInFlight) {
  const lab::Directory directory;
  lab::DeadDisk dead(directory);
  BlockIoReader reader = open_block_io();
  const std::string path = dead.disk().path();
  const lab::SharedMemory shared;
  Manager manager([path] {
    const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    ::_exit(::fdatasync(fd.get()) == 0 ? 0 : 1);  // nothing dirty: a flush and no write
  });
  // A stranger's write blocks the loop worker, so that nothing behind it is answered.
  Manager blocker([path] { lab::direct_io(path, Direction::kWrite, 1, 4096); });
  const VmId vm = manager.id();
  ASSERT_TRUE(reader.set_vm(vm, IoAttribution::kSubmitter, {}));
  dead.freeze();
  blocker.go();
  ASSERT_TRUE(lab::wait_for([&] {
    const auto other = reading_of(reader, std::nullopt, dead.disk().id());
    return other && other->in_flight_count.value_or(0) == 1;
  }));
  manager.go();
  EXPECT_TRUE(lab::wait_for([&] {
    const auto reading = reading_of(reader, vm, dead.disk().id());
    return reading && reading->in_flight_count.value_or(0) == 1 &&
           reading->flush_in_flight_count.value_or(0) == 1;
  }));
  const auto other = reading_of(reader, std::nullopt, dead.disk().id());
  EXPECT_EQ(other->flush_in_flight_count, std::optional<std::uint64_t>(0));
  dead.revive();
  EXPECT_EQ(manager.run(), 0);
  EXPECT_EQ(blocker.run(), 0);
  const auto reading = reading_of(reader, vm, dead.disk().id());
  EXPECT_EQ(reading->in_flight_count, std::optional<std::uint64_t>(0));
  EXPECT_EQ(reading->flush_in_flight_count, std::optional<std::uint64_t>(0));
  EXPECT_EQ(counts(*reading, IoOperation::kFlush).operations.value, 1U);
}

TEST(BpfBlockIoStall, RequestsInFlightAtAttachNeverCountBelowZero) {
  const lab::Directory directory;
  lab::DeadDisk dead(directory);
  const std::string path = dead.disk().path();
  Manager manager([path] { lab::threaded_io(path, Direction::kWrite, 3, 1); });
  const VmId vm = manager.id();
  {
    BlockIoReader first = open_block_io();
    ASSERT_TRUE(first.set_vm(vm, IoAttribution::kSubmitter, {}));
    dead.freeze();
    manager.go();
    ASSERT_TRUE(lab::wait_for([&] {
      const auto reading = reading_of(first, vm, dead.disk().id());
      return reading && reading->in_flight_count.value_or(0) == 3;
    }));
  }
  BlockIoReader second = open_block_io();
  ASSERT_TRUE(second.set_vm(vm, IoAttribution::kSubmitter, {}));
  dead.revive();
  EXPECT_EQ(manager.run(), 0);
  for (const BlockIoReading& reading : readings_of(second)) {
    if (reading.device == dead.disk().id()) {
      EXPECT_EQ(reading.in_flight_count, std::optional<std::uint64_t>(0));
    }
  }
  EXPECT_GE(second.losses().unseen, 3U);
}

// More requests than the driver takes at once (128): the VM's wait in the scheduler, and whoever
// finishes one of the others issues them. They are the VM's all the same.
TEST(BpfBlockIoStall, RequestsIssuedByOthersBelongToWhoInsertedThem) {
  const lab::Directory directory;
  lab::DeadDisk dead(directory);
  dead.disk().set_scheduler("mq-deadline");
  BlockIoReader reader = open_block_io();
  const std::string path = dead.disk().path();
  constexpr int kOthers = 150;
  constexpr int kOurs = 8;
  Manager more([path] { lab::spread_writes(path, kOthers, 0); });
  Manager manager([path] { lab::spread_writes(path, kOurs, 40 << 20); });
  const VmId vm = manager.id();
  ASSERT_TRUE(reader.set_vm(vm, IoAttribution::kSubmitter, {}));
  dead.freeze();
  more.go();
  ASSERT_TRUE(lab::wait_for([&] {
    const auto reading = reading_of(reader, std::nullopt, dead.disk().id());
    return reading && reading->in_flight_count.value_or(0) >= 128;
  }));
  manager.go();
  ASSERT_TRUE(lab::wait_for([&] { return manager.blocked_threads() == kOurs; }));
  const auto queued = reading_of(reader, vm, dead.disk().id());
  ASSERT_TRUE(queued);
  EXPECT_EQ(queued->in_flight_count, std::optional<std::uint64_t>(0));
  dead.revive();
  EXPECT_EQ(manager.run(), 0);
  EXPECT_EQ(more.run(), 0);
  const auto reading = reading_of(reader, vm, dead.disk().id());
  EXPECT_EQ(counts(*reading, IoOperation::kWrite).operations.value,
            static_cast<std::uint64_t>(kOurs));
  EXPECT_EQ(reading->in_flight_count, std::optional<std::uint64_t>(0));
}

// Registered, dropped and registered again while requests hang: nothing is left behind.
TEST(BpfBlockIoStall, OwnerChangesWhileInFlightLeaveNothingBehind) {
  const lab::Directory directory;
  lab::DeadDisk dead(directory);
  BlockIoReader reader = open_block_io();
  const std::string path = dead.disk().path();
  Manager manager([path] { lab::threaded_io(path, Direction::kWrite, 3, 1); });
  VmId vm = manager.id();
  ASSERT_TRUE(reader.set_vm(vm, IoAttribution::kSubmitter, {}));
  dead.freeze();
  manager.go();
  ASSERT_TRUE(lab::wait_for([&] {
    const auto reading = reading_of(reader, vm, dead.disk().id());
    return reading && reading->in_flight_count.value_or(0) == 3;
  }));
  reader.drop_vm(vm);
  readings_of(reader);
  const BootTime dropped = boot_time_now();
  ASSERT_TRUE(lab::wait_for([&] { return boot_time_now() - dropped > milliseconds(100); }));
  readings_of(reader);
  vm.cgroup = CgroupId{2};
  ASSERT_TRUE(reader.set_vm(vm, IoAttribution::kSubmitter, {}));
  // Another VM takes the freed counters: what still hangs must not end up in them.
  const lab::LoopDevice other_disk(lab::make_file(directory.path() + "/other.img", 16ULL << 20U));
  const std::string other_path = other_disk.path();
  Manager heir([other_path] { lab::direct_io(other_path, Direction::kWrite, 7, 4096); });
  const VmId heir_id = heir.id();
  ASSERT_TRUE(reader.set_vm(heir_id, IoAttribution::kSubmitter, {}));
  EXPECT_EQ(heir.run(), 0);
  EXPECT_EQ(reading_of(reader, heir_id, other_disk.id())->in_flight_count,
            std::optional<std::uint64_t>(0));
  dead.revive();
  EXPECT_EQ(manager.run(), 0);
  for (const BlockIoReading& reading : readings_of(reader)) {
    if (reading.device == dead.disk().id()) {
      EXPECT_EQ(reading.in_flight_count, std::optional<std::uint64_t>(0));
      EXPECT_FALSE(reading.vm);
    }
    if (reading.vm == heir_id) {
      EXPECT_EQ(counts(reading, IoOperation::kWrite).operations.value, 7U);
    }
  }
}

}  // namespace
}  // namespace hvguard::observe
