// Blocked tasks as the kernel really blocks them.
#include "observe/ebpf/tasks.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "lab.h"

namespace hvguard::observe {
namespace {

using std::chrono::milliseconds;

BlockedTaskReader open_reader() {
  auto reader = BlockedTaskReader::open(probe_bpf("/"));
  if (!reader) {
    ADD_FAILURE() << reader.error().message;
    std::abort();
  }
  return std::move(*reader);
}

TaskPass pass_of(BlockedTaskReader& reader) {
  auto pass = reader.pass();
  EXPECT_TRUE(pass) << pass.error().message;
  return pass ? std::move(*pass) : TaskPass{};
}

std::optional<BlockedTask> find(const TaskPass& pass, pid_t tid) {
  for (const BlockedTask& task : pass.blocked) {
    if (task.id.tid == tid) {
      return task;
    }
  }
  return std::nullopt;
}

// Until the task is blocked (or, with false, is not any more); none if it never was.
std::optional<BlockedTask> wait_blocked(BlockedTaskReader& reader, pid_t tid, bool blocked = true) {
  std::optional<BlockedTask> found;
  const bool reached = lab::wait_for([&] {
    found = find(pass_of(reader), tid);
    return found.has_value() == blocked;
  });
  EXPECT_TRUE(reached) << "task " << tid << (blocked ? " never blocked" : " stayed blocked");
  return found;
}

bool has_frame(const BlockedTask& task, const std::string& part) {
  return std::any_of(task.stack.begin(), task.stack.end(), [&](const std::string& frame) {
    return frame.find(part) != std::string::npos;
  });
}

void create_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd >= 0) {
    ::close(fd);
  }
}

// A write that is aligned as O_DIRECT wants it.
void direct_write(const std::string& path, int flags, off_t offset) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC | flags, 0600));
  void* const block = std::aligned_alloc(4096, 4096);
  const ssize_t written = ::pwrite(fd.get(), block, 4096, offset);
  std::free(block);
  if (written != 4096) {
    ::_exit(1);
  }
}

class FrozenFileSystem {
 public:
  FrozenFileSystem()
      : device_(lab::make_ext4_image(directory_.path() + "/fs.img", 64ULL << 20U)),
        mount_(device_.path(), directory_.path() + "/fs"),
        freeze_(mount_.path()) {}
  [[nodiscard]] const std::string& path() const { return mount_.path(); }
  void thaw() { freeze_.thaw(); }

 private:
  lab::Directory directory_;
  lab::LoopDevice device_;
  lab::Mount mount_;
  lab::Freeze freeze_;
};

TEST(BpfTasks, HardTaskOnFrozenFileSystemWithStartStackAndEnd) {
  BlockedTaskReader reader = open_reader();
  FrozenFileSystem file_system;
  const lab::SharedMemory shared;
  lab::Process writer([&] {
    shared->boot_nanoseconds = boot_time_now().since_boot.count();
    create_file(file_system.path() + "/new");
  });

  const auto task = wait_blocked(reader, writer.pid());
  ASSERT_TRUE(task);
  EXPECT_EQ(task->blocked_class, BlockedClass::kHard);
  EXPECT_EQ(task->tgid, writer.pid());
  EXPECT_EQ(task->comm, "bpf_test");
  EXPECT_FALSE(task->kernel_thread);
  EXPECT_NE(task->cgroup.value, 0U);
  EXPECT_GT(task->switch_count, 0U);
  EXPECT_TRUE(has_frame(*task, "mnt_want_write")) << testing::PrintToString(task->stack);
  EXPECT_TRUE(has_frame(*task, "entry_SYSCALL_64")) << testing::PrintToString(task->stack);

  ASSERT_TRUE(task->off_cpu_since);
  const Nanoseconds error = *task->off_cpu_since - BootTime{Nanoseconds(shared->boot_nanoseconds)};
  EXPECT_LT(std::chrono::abs(error), milliseconds(50)) << error.count();
  EXPECT_LT(std::chrono::abs(task->id.start - lab::start_time(writer.pid())), milliseconds(11));

  // It stays where it is: neither its start nor its counts move.
  const auto again = wait_blocked(reader, writer.pid());
  ASSERT_TRUE(again && again->off_cpu_since);
  EXPECT_EQ(again->switch_count, task->switch_count);
  EXPECT_LT(std::chrono::abs(*again->off_cpu_since - *task->off_cpu_since), milliseconds(5));

  file_system.thaw();
  EXPECT_EQ(writer.wait(), 0);
  EXPECT_FALSE(find(pass_of(reader), writer.pid()));
}

TEST(BpfTasks, StartIsWhenItBlockedNotWhenItBeganToRun) {
  BlockedTaskReader reader = open_reader();
  FrozenFileSystem file_system;
  const lab::SharedMemory shared;
  lab::Process writer([&] {
    // Busy first, so that the last arrival on the CPU may lie well before the block.
    const BootTime end = boot_time_now() + milliseconds(300);
    while (boot_time_now() < end) {
    }
    shared->boot_nanoseconds = boot_time_now().since_boot.count();
    create_file(file_system.path() + "/new");
  });
  const auto task = wait_blocked(reader, writer.pid());
  ASSERT_TRUE(task && task->off_cpu_since);
  const Nanoseconds error = *task->off_cpu_since - BootTime{Nanoseconds(shared->boot_nanoseconds)};
  EXPECT_LT(std::chrono::abs(error), milliseconds(50)) << error.count();
  file_system.thaw();
}

TEST(BpfTasks, VforkParentIsKillableNotHard) {
  BlockedTaskReader reader = open_reader();
  const lab::SharedMemory shared;
  lab::Process parent([&] {
    if (::vfork() == 0) {  // NOLINT(clang-analyzer-security.insecureAPI.vfork): it is the point
      while (lab::load(shared->go) == 0) {
        ::usleep(1000);
      }
      ::_exit(0);
    }
  });
  const auto task = wait_blocked(reader, parent.pid());
  ASSERT_TRUE(task);
  EXPECT_EQ(task->blocked_class, BlockedClass::kKillable);
  lab::store(shared->go, 1);
  EXPECT_EQ(parent.wait(), 0);
}

TEST(BpfTasks, DeadDiskMakesHardWorkerSelfWakingWriterAndKillableReader) {
  BlockedTaskReader reader = open_reader();
  const lab::Directory directory;
  lab::DeadDisk dead(directory);
  dead.freeze();
  const std::string path = dead.disk().path();
  const lab::Process writer([&] { direct_write(path, 0, 0); });
  const auto writing = wait_blocked(reader, writer.pid());
  ASSERT_TRUE(writing);
  EXPECT_EQ(writing->blocked_class, BlockedClass::kHard);
  EXPECT_TRUE(writing->in_iowait);

  // The loop driver's worker waits for the frozen file system, and so does all behind it.
  const auto worker_of = [](const TaskPass& pass) {
    return std::find_if(pass.blocked.begin(), pass.blocked.end(), [](const BlockedTask& task) {
      return task.kernel_thread && has_frame(task, "loop_process_work");
    });
  };
  EXPECT_TRUE(lab::wait_for([&] {
    const TaskPass pass = pass_of(reader);
    const auto worker = worker_of(pass);
    return worker != pass.blocked.end() && worker->blocked_class == BlockedClass::kHard &&
           worker->worker_description.starts_with("loop");
  }));

  const lab::Process buffered([&] {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    char byte = 0;
    if (::pread(fd.get(), &byte, 1, 32 << 20) != 1) {
      ::_exit(1);
    }
  });
  const auto reading = wait_blocked(reader, buffered.pid());
  ASSERT_TRUE(reading);
  EXPECT_EQ(reading->blocked_class, BlockedClass::kKillable);
  EXPECT_TRUE(has_frame(*reading, "folio_wait") || has_frame(*reading, "filemap"))
      << testing::PrintToString(reading->stack);
  dead.revive();
}

TEST(BpfTasks, LockOwnerIsNamedWhereTheKernelKnowsIt) {
  BlockedTaskReader reader = open_reader();
  const lab::Directory directory;
  lab::DeadDisk dead(directory);
  ASSERT_EQ(std::system(("mke2fs -q -F -t ext4 " + dead.disk().path()).c_str()), 0);
  const lab::Mount mount(dead.disk().path(), directory.path() + "/inner");
  const std::string file = lab::make_file(mount.path() + "/file", 0);
  ::sync();
  dead.freeze();
  // Both append with O_DIRECT: the first holds the inode's lock while its IO hangs.
  const lab::Process owner([&] { direct_write(file, 0, 0); });
  ASSERT_TRUE(wait_blocked(reader, owner.pid()));
  const lab::Process waiter([&] { direct_write(file, 0, 4096); });
  const auto task = wait_blocked(reader, waiter.pid());
  ASSERT_TRUE(task);
  EXPECT_TRUE(has_frame(*task, "ext4")) << testing::PrintToString(task->stack);
  if (task->lock) {
    EXPECT_EQ(task->lock->type, LockType::kRwsemWriter);
    EXPECT_EQ(task->lock->owner_tid, std::optional<Pid>(owner.pid()));
  } else {
    // Without CONFIG_DETECT_HUNG_TASK_BLOCKER (6.16) nothing knows it: then for nobody.
    for (const BlockedTask& other : pass_of(reader).blocked) {
      EXPECT_FALSE(other.lock) << other.id.tid;
    }
  }
  dead.revive();
}

TEST(BpfTasks, ThousandsOfSleepersReturnNothing) {
  BlockedTaskReader reader = open_reader();
  constexpr int kThreads = 3000;
  const lab::SharedMemory shared;
  const lab::Process sleepers([&] {
    for (int i = 0; i < kThreads; ++i) {
      std::thread([] { ::pause(); }).detach();
    }
    lab::store(shared->started, 1);
    ::pause();
  });
  ASSERT_TRUE(
      lab::wait_for([&] { return lab::load(shared->started) == 1; }, std::chrono::seconds(30)));
  // A thread that only just started may still be in D (mmap_lock): asleep, they are all gone.
  std::vector<Pid> returned;
  const auto all_asleep = [&] {
    const TaskPass pass = pass_of(reader);
    returned.clear();
    for (const BlockedTask& task : pass.blocked) {
      if (task.tgid == sleepers.pid()) {
        returned.push_back(task.id.tid);
      }
    }
    return pass.seen_count >= static_cast<std::uint64_t>(kThreads) && returned.empty();
  };
  EXPECT_TRUE(lab::wait_for(all_asleep, std::chrono::seconds(30)))
      << testing::PrintToString(returned);
}

// Far more than the kernel's 32 KiB buffer holds: it throws records away and runs the program
// again.
TEST(BpfTasks, EveryBlockedTaskIsReturnedOnceAcrossManyReads) {
  BlockedTaskReader reader = open_reader();
  FrozenFileSystem file_system;
  constexpr std::size_t kWriters = 400;
  const lab::SharedMemory shared;
  const lab::Process writers([&] {
    for (std::size_t i = 0; i < kWriters; ++i) {
      std::thread([&] { create_file(file_system.path() + "/new"); }).detach();
    }
    while (lab::load(shared->go) == 0) {
      ::usleep(1000);
    }
  });
  std::vector<Pid> tids;
  TaskPass pass;
  const bool all = lab::wait_for([&] {
    pass = pass_of(reader);
    tids.clear();
    for (const BlockedTask& task : pass.blocked) {
      if (task.tgid == writers.pid()) {
        tids.push_back(task.id.tid);
      }
    }
    return tids.size() >= kWriters;
  });
  EXPECT_TRUE(all) << tids.size();
  for (const BlockedTask& task : pass.blocked) {
    if (task.tgid == writers.pid()) {
      EXPECT_GE(task.stack.size(), 4U);
    }
  }
  std::sort(tids.begin(), tids.end());
  EXPECT_EQ(std::unique(tids.begin(), tids.end()), tids.end());
  EXPECT_EQ(tids.size(), kWriters);
  const auto hard =
      std::count_if(pass.blocked.begin(), pass.blocked.end(), [](const BlockedTask& task) {
        return task.blocked_class == BlockedClass::kHard;
      });
  EXPECT_EQ(pass.hard_count, static_cast<std::uint64_t>(hard));
  EXPECT_EQ(reader.dropped_count(), 0U);
  lab::store(shared->go, 1);
  file_system.thaw();
}

TEST(BpfTasks, TotalsAndClocksOfAPass) {
  BlockedTaskReader reader = open_reader();
  const BootTime before = boot_time_now();
  const TaskPass first = pass_of(reader);
  const BootTime after = boot_time_now();
  EXPECT_GE(first.pass_time, before);
  EXPECT_LE(first.pass_time, after);
  EXPECT_GT(first.seen_count, 10U);
  ASSERT_TRUE(first.jiffies && first.idle_count && first.hard_count);
  EXPECT_GT(*first.idle_count, 0U);  // every kernel has idle kworkers or rcu threads

  // A pass that loses its CPU at the wrong moment knows less; it must not stay so.
  EXPECT_TRUE(lab::wait_for([&] {
    pass_of(reader);
    return reader.clock_error() && *reader.clock_error() < milliseconds(2);
  }));
  ASSERT_TRUE(first.khungtaskd_ran);
  EXPECT_LT(*first.khungtaskd_ran, after);
  EXPECT_GT(*first.khungtaskd_ran, BootTime{});

  ASSERT_TRUE(lab::wait_for([&] { return boot_time_now() - first.pass_time > milliseconds(400); }));
  const TaskPass second = pass_of(reader);
  const double seconds = to_seconds(second.pass_time - first.pass_time);
  const double frequency = static_cast<double>(*second.jiffies - *first.jiffies) / seconds;
  EXPECT_GT(frequency, 95);
  EXPECT_LT(frequency, 1050);

  const auto statistics = reader.statistics();
  ASSERT_EQ(statistics.size(), 1U);
  EXPECT_EQ(statistics[0].name, "blocked_tasks");
  EXPECT_NE(statistics[0].id, 0U);
}

}  // namespace
}  // namespace hvguard::observe
