#include "io_load.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "base/fd.h"

namespace hvguard::lab {
namespace {

constexpr std::size_t kBlock = 4096;

void check(bool condition) {
  if (!condition) {
    ::_exit(1);
  }
}

struct Free {
  void operator()(char* memory) const { std::free(memory); }
};
using Buffer = std::unique_ptr<char, Free>;

Buffer aligned_buffer(std::size_t size) {
  Buffer buffer(static_cast<char*>(std::aligned_alloc(kBlock, size)));
  check(buffer != nullptr);
  std::memset(buffer.get(), 0x5a, size);
  return buffer;
}

UniqueFd open_device(const std::string& device, int flags) {
  UniqueFd fd(::open(device.c_str(), O_RDWR | O_CLOEXEC | flags));
  check(fd.valid());
  return fd;
}

void run_io(int fd, Direction direction, int count, std::size_t size, off_t start) {
  const Buffer buffer = aligned_buffer(size);
  for (int i = 0; i < count; ++i) {
    const off_t offset = start + static_cast<off_t>(size) * i;
    const ssize_t moved = direction == Direction::kRead ? ::pread(fd, buffer.get(), size, offset)
                                                        : ::pwrite(fd, buffer.get(), size, offset);
    check(moved == static_cast<ssize_t>(size));
  }
}

// One submission at a time is all these tests need.
class Ring {
 public:
  explicit Ring(bool kernel_poll) {
    io_uring_params parameters{};
    parameters.flags = kernel_poll ? IORING_SETUP_SQPOLL : 0;
    parameters.sq_thread_idle = 1000;
    fd_ = UniqueFd(static_cast<int>(::syscall(SYS_io_uring_setup, 8, &parameters)));
    check(fd_.valid());
    kernel_poll_ = kernel_poll;
    submissions_ = map(parameters.sq_off.array + parameters.sq_entries * sizeof(std::uint32_t),
                       IORING_OFF_SQ_RING);
    completions_ = map(parameters.cq_off.cqes + parameters.cq_entries * sizeof(io_uring_cqe),
                       IORING_OFF_CQ_RING);
    entries_ = static_cast<io_uring_sqe*>(
        static_cast<void*>(map(parameters.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES)));
    sq_ = parameters.sq_off;
    cq_ = parameters.cq_off;
  }

  int read(int file, char* buffer, std::size_t size, std::uint64_t offset) {
    std::uint32_t& tail = word(submissions_, sq_.tail);
    const std::uint32_t index = tail & word(submissions_, sq_.ring_mask);
    iovec vector{.iov_base = buffer, .iov_len = size};
    io_uring_sqe& entry = entries_[index];
    entry = {};
    entry.opcode = IORING_OP_READV;
    entry.flags = kernel_poll_ ? 0 : IOSQE_ASYNC;
    entry.fd = file;
    entry.addr = reinterpret_cast<std::uint64_t>(&vector);
    entry.len = 1;
    entry.off = offset;
    word(submissions_, sq_.array + index * static_cast<std::uint32_t>(sizeof(std::uint32_t))) =
        index;
    __atomic_store_n(&tail, tail + 1, __ATOMIC_SEQ_CST);
    unsigned flags = IORING_ENTER_GETEVENTS;
    if ((__atomic_load_n(&word(submissions_, sq_.flags), __ATOMIC_SEQ_CST) &
         IORING_SQ_NEED_WAKEUP) != 0) {
      flags |= IORING_ENTER_SQ_WAKEUP;
    }
    check(::syscall(SYS_io_uring_enter, fd_.get(), 1, 1, flags, nullptr, 0) >= 0);
    std::uint32_t& head = word(completions_, cq_.head);
    const std::uint32_t place = head & word(completions_, cq_.ring_mask);
    io_uring_cqe result{};
    std::memcpy(&result, completions_ + cq_.cqes + place * sizeof(result), sizeof(result));
    __atomic_store_n(&head, head + 1, __ATOMIC_SEQ_CST);
    return result.res;
  }

 private:
  char* map(std::size_t size, std::uint64_t offset) const {
    void* const memory = ::mmap(nullptr,
                                size,
                                PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_POPULATE,
                                fd_.get(),
                                static_cast<off_t>(offset));
    check(memory != MAP_FAILED);
    return static_cast<char*>(memory);  // until the process ends
  }
  static std::uint32_t& word(char* ring, std::uint32_t offset) {
    return *static_cast<std::uint32_t*>(static_cast<void*>(ring + offset));
  }

  UniqueFd fd_;
  bool kernel_poll_ = false;
  char* submissions_ = nullptr;
  char* completions_ = nullptr;
  io_uring_sqe* entries_ = nullptr;
  io_sqring_offsets sq_{};
  io_cqring_offsets cq_{};
};

}  // namespace

void direct_io(const std::string& device, Direction direction, int count, std::size_t size) {
  run_io(open_device(device, O_DIRECT).get(), direction, count, size, 0);
}

void threaded_io(
    const std::string& device, Direction direction, int threads, int count, int first_mebibyte) {
  const UniqueFd fd = open_device(device, O_DIRECT);
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i) {
    running.emplace_back([&fd, direction, count, place = first_mebibyte + i] {
      run_io(fd.get(), direction, count, kBlock, off_t{place} * (1 << 20));
    });
  }
  for (std::thread& thread : running) {
    thread.join();
  }
}

void spread_writes(const std::string& device, int count, long start) {
  const UniqueFd fd = open_device(device, O_DIRECT);
  std::vector<std::thread> running;
  for (int i = 0; i < count; ++i) {
    running.emplace_back([&fd, place = start + i * (64L << 10)] {
      run_io(fd.get(), Direction::kWrite, 1, kBlock, place);
    });
  }
  for (std::thread& thread : running) {
    thread.join();
  }
}

void ring_reads(const std::string& device, int count, bool kernel_poll) {
  const UniqueFd fd = open_device(device, O_DIRECT);
  const Buffer buffer = aligned_buffer(kBlock);
  Ring ring(kernel_poll);
  for (int i = 0; i < count; ++i) {
    const auto offset = static_cast<std::uint64_t>(i) * kBlock;
    check(ring.read(fd.get(), buffer.get(), kBlock, offset) == static_cast<int>(kBlock));
  }
}

void flushes(const std::string& device, int count) {
  const UniqueFd fd = open_device(device, 0);
  const Buffer buffer = aligned_buffer(kBlock);
  for (int i = 0; i < count; ++i) {
    check(::pwrite(fd.get(), buffer.get(), kBlock, off_t{i} * static_cast<off_t>(kBlock)) ==
          static_cast<ssize_t>(kBlock));
    check(::fdatasync(fd.get()) == 0);
  }
}

void discards(const std::string& device, int count) {
  const UniqueFd fd = open_device(device, 0);
  constexpr std::uint64_t kSize = 64 << 10;
  for (int i = 0; i < count; ++i) {
    std::array<std::uint64_t, 2> range = {static_cast<std::uint64_t>(i) * kSize, kSize};
    check(::ioctl(fd.get(), BLKDISCARD, range.data()) == 0);
  }
}

}  // namespace hvguard::lab
