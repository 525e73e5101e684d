#include "observe/ebpf/tasks.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <span>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/parse.h"
#include "shared/tasks.h"

// After it: the skeleton uses its types.
#include "tasks.skel.h"

namespace hvguard::observe {
namespace {

// The kernel hands out at most its own 32 KiB buffer per read, always whole records.
constexpr std::size_t kReadSize = 64 * 1024;

Nanoseconds monotonic_now() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::chrono::seconds(now.tv_sec) + Nanoseconds(now.tv_nsec);
}

std::uint64_t own_switches() {
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  return static_cast<std::uint64_t>(usage.ru_nvcsw) + static_cast<std::uint64_t>(usage.ru_nivcsw);
}

// Sleeps until the scheduler has really switched: a timer that expires before the thread is off the
// CPU only returns.
void give_up_cpu() {
  const std::uint64_t switches_before = own_switches();
  for (const long nanoseconds : {20'000L, 200'000L, 2'000'000L}) {
    const timespec moment{.tv_sec = 0, .tv_nsec = nanoseconds};
    ::clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, nullptr);
    if (own_switches() > switches_before) {
      return;
    }
  }
}

template <std::size_t size>
std::string text_of(const char (&array)[size]) {
  return {array, ::strnlen(array, size)};
}

BlockedClass class_of(const task_record& record) {
  switch (record.task_class) {
    case TASK_CLASS_HARD:
      return BlockedClass::kHard;
    case TASK_CLASS_KILLABLE:
      return BlockedClass::kKillable;
    case TASK_CLASS_FROZEN:
      return BlockedClass::kFrozen;
    default:
      return BlockedClass::kUnknown;
  }
}

// kernel: include/linux/hung_task.h, BLOCKER_TYPE_*.
std::optional<LockWait> lock_of(const task_record& record) {
  if ((record.flags & TASK_FLAG_LOCK) == 0) {
    return std::nullopt;
  }
  constexpr std::array kTypes = {
      LockType::kMutex, LockType::kSemaphore, LockType::kRwsemReader, LockType::kRwsemWriter};
  LockWait wait{.type = kTypes.at(record.lock_type & 3U), .owner_tid = std::nullopt};
  if (record.lock_owner_tid > 0) {
    wait.owner_tid = record.lock_owner_tid;
  }
  return wait;
}

BlockedTask task_of(const task_record& record) {
  BlockedTask task;
  task.id = {record.tid, BootTime{Nanoseconds(record.start_boottime)}};
  task.tgid = record.tgid;
  task.comm = text_of(record.comm);
  task.cgroup = {record.cgroup};
  task.kernel_thread = (record.flags & TASK_FLAG_KERNEL_THREAD) != 0;
  task.in_iowait = (record.flags & TASK_FLAG_IN_IOWAIT) != 0;
  task.blocked_class = class_of(record);
  task.switch_count = record.switch_count;
  if ((record.flags & TASK_FLAG_HUNG_MARKS) != 0) {
    task.last_switch_count = record.last_switch_count;
    task.last_switch_jiffies = record.last_switch_jiffies;
  }
  task.lock = lock_of(record);
  task.worker_description = text_of(record.worker);
  return task;
}

// The lines of text behind a record; false if they are not all there.
bool take_frames(std::string_view& rest, std::uint32_t count, std::vector<std::string>& stack) {
  stack.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (rest.find('\n') == std::string_view::npos) {
      return false;
    }
    stack.emplace_back(next_field(rest, '\n'));
  }
  return true;
}

}  // namespace

void BlockedTaskReader::Close::operator()(tasks_bpf* object) const {
  tasks_bpf__destroy(object);
}

BlockedTaskReader::BlockedTaskReader(std::unique_ptr<tasks_bpf, Close> object)
    : object_(std::move(object)), buffer_(kReadSize) {}
BlockedTaskReader::BlockedTaskReader(BlockedTaskReader&&) noexcept = default;
BlockedTaskReader& BlockedTaskReader::operator=(BlockedTaskReader&&) noexcept = default;
BlockedTaskReader::~BlockedTaskReader() = default;

Result<BlockedTaskReader> BlockedTaskReader::open(const BpfSupport& support) {
  std::unique_ptr<tasks_bpf, Close> object;
  const auto opened = run_libbpf("tasks", "open", support, [&object] {
    object.reset(tasks_bpf__open_opts(open_options()));
    return object ? 0 : -errno;
  });
  if (!opened) {
    return fail(opened.error());
  }
  object->rodata->may_probe_read = support.may_probe_read ? 1 : 0;
  const auto loaded =
      run_libbpf("tasks", "load", support, [&object] { return tasks_bpf__load(object.get()); });
  if (!loaded) {
    return fail(loaded.error());
  }
  const auto attached =
      run_libbpf("tasks", "attach", support, [&object] { return tasks_bpf__attach(object.get()); });
  if (!attached) {
    return fail(attached.error());
  }
  return BlockedTaskReader(std::move(object));
}

Result<TaskPass> BlockedTaskReader::pass() {
  task_totals& totals = object_->bss->totals;
  totals = {};
  const Nanoseconds monotonic_before = monotonic_now();
  const std::uint64_t switches_before = own_switches();
  give_up_cpu();
  UniqueFd iterator(::bpf_iter_create(bpf_link__fd(object_->links.blocked_tasks)));
  if (!iterator.valid()) {
    return fail_errno(errno, "start the pass over all tasks");
  }
  TaskPass pass;
  if (auto read = read_records(iterator.get(), pass); !read) {
    return fail(std::move(read).error());
  }
  if (totals.started == 0) {
    return fail(Errc::kInternal, "pass over all tasks: the iterator saw none");
  }

  update_clock_offset(monotonic_before, switches_before);
  pass.pass_time = {Nanoseconds(totals.boottime_ns)};
  pass.seen_count = totals.seen;
  pass.hard_count = totals.by_class[TASK_CLASS_HARD];
  pass.killable_count = totals.by_class[TASK_CLASS_KILLABLE];
  pass.frozen_count = totals.by_class[TASK_CLASS_FROZEN];
  pass.idle_count = totals.by_class[TASK_CLASS_IDLE];
  pass.jiffies = totals.jiffies;
  pass.khungtaskd_ran = from_scheduler_clock(totals.khungtaskd_arrival);
  for (BlockedTask& task : pass.blocked) {
    // read_records() left the scheduler's clock there: the offset was not known yet.
    task.off_cpu_since =
        from_scheduler_clock(static_cast<std::uint64_t>(task.off_cpu_since->since_boot.count()));
  }
  for (const int which : {TASK_CLASS_HARD, TASK_CLASS_KILLABLE, TASK_CLASS_FROZEN}) {
    const std::uint64_t count = totals.by_class[which];
    const std::uint64_t limit = object_->rodata->record_limit[which];
    dropped_count_ += count > limit ? count - limit : 0;
  }
  return pass;
}

Result<> BlockedTaskReader::read_records(int fd, TaskPass& pass) {
  for (;;) {
    const ssize_t length = ::read(fd, buffer_.data(), buffer_.size());
    if (length < 0 && (errno == EINTR || errno == EAGAIN)) {
      continue;  // EAGAIN: the kernel looked at a million tasks without one to return
    }
    if (length < 0) {
      return fail_errno(errno, "pass over all tasks");
    }
    if (length == 0) {
      return {};
    }
    std::string_view rest(buffer_.data(), static_cast<std::size_t>(length));
    while (!rest.empty()) {
      task_record record{};
      if (rest.size() < sizeof(record)) {
        return fail(Errc::kInternal, "pass over all tasks: cut record");
      }
      std::memcpy(&record, rest.data(), sizeof(record));
      rest.remove_prefix(sizeof(record));
      BlockedTask task = task_of(record);
      if (record.magic != TASK_RECORD_MAGIC || !take_frames(rest, record.frame_count, task.stack)) {
        return fail(Errc::kInternal, "pass over all tasks: malformed record");
      }
      const std::uint64_t left = record.last_arrival == 0 ? 0 : record.last_arrival + record.ran_ns;
      task.off_cpu_since = BootTime{Nanoseconds(left)};
      pass.blocked.push_back(std::move(task));
    }
  }
}

// The thread went to sleep after monotonic_before and its program ran at ktime_ns; in between the
// scheduler put it on a CPU, at reader_arrival of the scheduler's clock.
void BlockedTaskReader::update_clock_offset(Nanoseconds monotonic_before,
                                            std::uint64_t switches_before) {
  const task_totals& totals = object_->bss->totals;
  if (totals.reader_arrival == 0) {
    return;  // no CONFIG_SCHED_INFO
  }
  const auto boot_minus_monotonic = Nanoseconds(totals.boottime_ns) - Nanoseconds(totals.ktime_ns);
  const auto arrival = Nanoseconds(totals.reader_arrival);
  const ClockOffset now = {.low = monotonic_before + boot_minus_monotonic - arrival,
                           .high = Nanoseconds(totals.boottime_ns) - arrival};
  const bool slept = totals.reader_switches > switches_before;
  // The clocks drift apart by 500 ppm at most (NTP), so an older answer stays good for a while, but
  // a new one is the better one unless the thread lost its CPU just then.
  constexpr Nanoseconds kTight = std::chrono::milliseconds(2);
  if (slept && (!offset_ || now.high - now.low <= kTight ||
                now.high - now.low <= 2 * (offset_->high - offset_->low))) {
    offset_ = now;
  } else if (offset_) {
    offset_->low -= std::chrono::microseconds(500);
    offset_->high += std::chrono::microseconds(500);
  }
}

std::optional<BootTime> BlockedTaskReader::from_scheduler_clock(std::uint64_t nanoseconds) const {
  if (!offset_ || nanoseconds == 0) {
    return std::nullopt;
  }
  const Nanoseconds middle = offset_->low + (offset_->high - offset_->low) / 2;
  const BootTime moment{Nanoseconds(nanoseconds) + middle};
  return std::min(moment, BootTime{Nanoseconds(object_->bss->totals.boottime_ns)});
}

std::optional<Nanoseconds> BlockedTaskReader::clock_error() const {
  if (!offset_) {
    return std::nullopt;
  }
  return (offset_->high - offset_->low) / 2;
}

std::vector<BpfProgramStatistics> BlockedTaskReader::statistics() const {
  return program_statistics(object_->obj);
}

}  // namespace hvguard::observe
