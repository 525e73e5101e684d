#include "guard/self_limits.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <string_view>

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

namespace hvguard::guard {
namespace {

constexpr int kMaxArenas = 2;  // one for the loop, one for the sampler
// Setting it keeps glibc from raising it: the kernel's type information (some 17 MiB while the eBPF
// objects load) then never lands in the heap, from where locked memory cannot be given back.
constexpr int kMmapThreshold = 128 * 1024;
// What a tick frees the next one needs again: given back in between, it would have to be found anew
// each second, which is what takes seconds while the host is short of memory.
constexpr int kTrimThreshold = 8 * 1024 * 1024;

std::atomic<int> deadline_exit_code{0};

void end_now(int /*signal*/) {
  ::_exit(deadline_exit_code.load(std::memory_order_relaxed));
}

// Libraries that need not be locked whole, 3.4 MiB: those that libsystemd brings along for readers
// of journals, which nothing here calls, and libm, of which each tick calls exp2() and nothing
// calls more, so that the first tick has locked it.
constexpr std::array<std::string_view, 6> kNotLocked = {
    "libgcrypt.so", "libgpg-error.so", "liblz4.so", "liblzma.so", "libm.so", "libzstd.so"};

bool is_locked(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  return std::ranges::none_of(kNotLocked, [name](auto other) { return name.starts_with(other); });
}

// For dl_iterate_phdr(3): reads and locks all segments of one program or library. Locked one by
// one, since mlockall() can do only all mappings or, with MCL_ONFAULT, none before they are
// touched.
int lock_segments(dl_phdr_info* object, std::size_t /*size*/, void* first_errno) {
  if (!is_locked(object->dlpi_name)) {
    return 0;
  }
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD) {
      continue;
    }
    // mlock() rounds to pages by itself.
    const auto* const begin = reinterpret_cast<const void*>(object->dlpi_addr + segment.p_vaddr);
    if (::mlock(begin, segment.p_memsz) != 0 && *static_cast<int*>(first_errno) == 0) {
      *static_cast<int*>(first_errno) = errno;
    }
  }
  return 0;
}

}  // namespace

Result<> lock_memory() {
  ::mallopt(M_ARENA_MAX, kMaxArenas);
  ::mallopt(M_MMAP_THRESHOLD, kMmapThreshold);
  ::mallopt(M_TRIM_THRESHOLD, kTrimThreshold);
  if (::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) {
    return fail_errno(errno, "lock memory (raise LimitMEMLOCK= of the unit, or `ulimit -l`)");
  }
  int failure = 0;
  ::dl_iterate_phdr(lock_segments, &failure);
  if (failure != 0) {
    return fail_errno(failure, "lock the program in memory (raise LimitMEMLOCK= or MemoryMax=)");
  }
  return {};
}

Result<std::uint64_t> raise_open_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return fail_errno(errno, "read the limit of open files");
  }
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return fail_errno(errno, "raise the limit of open files (LimitNOFILE= of the unit)");
  }
  return limit.rlim_cur;
}

void ignore_broken_pipes() {
  ::signal(SIGPIPE, SIG_IGN);
}

void exit_after(std::chrono::milliseconds delay, int code) {
  deadline_exit_code.store(code, std::memory_order_relaxed);
  struct sigaction action{};
  action.sa_handler = end_now;
  ::sigaction(SIGALRM, &action, nullptr);
  itimerval timer{};
  timer.it_value.tv_sec = delay.count() / 1000;
  timer.it_value.tv_usec = delay.count() % 1000 * 1000;
  ::setitimer(ITIMER_REAL, &timer, nullptr);
}

}  // namespace hvguard::guard
