// A BPF array map with BPF_F_MMAPABLE in our own address space: reading it costs no system call.
// For the adapters in this folder.
#pragma once

#include <bpf/libbpf.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <span>
#include <string_view>

#include "base/result.h"

namespace hvguard::observe {

// An mmapable array map of the kernel's as a span of its values. Counters are read while they grow:
// each one is a single aligned load. Mapped pages count as resident at once, touched or not, so
// only the beginning that is in use is mapped (kernel/bpf/arraymap.c, array_map_mmap).
template <class T>
class MappedArray {
 public:
  MappedArray() = default;
  MappedArray(const MappedArray&) = delete;
  MappedArray& operator=(const MappedArray&) = delete;
  ~MappedArray() {
    if (start_ != nullptr) {
      ::munmap(start_, reserved_bytes());
    }
  }

  // Takes address space for the whole array and maps its first `count` values.
  Result<> open(const bpf_map* map, std::size_t count, std::string_view what) {
    static_assert(sizeof(T) % 8 == 0, "the kernel rounds values up to 8 bytes");
    fd_ = bpf_map__fd(map);
    count_ = bpf_map__max_entries(map);
    void* const start =
        ::mmap(nullptr, reserved_bytes(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) {
      return fail_errno(errno, what);
    }
    start_ = static_cast<std::byte*>(start);
    return reach(count, what);
  }

  // Makes values() at least the first `count` values; more than there are means all of them.
  Result<> reach(std::size_t count, std::string_view what) {
    const std::size_t wanted = rounded_up(std::min(count, count_) * sizeof(T), kStep);
    const std::size_t end = std::min(wanted, reserved_bytes());
    if (end <= mapped_bytes_) {
      return {};
    }
    void* const mapped = ::mmap(start_ + mapped_bytes_,
                                end - mapped_bytes_,
                                PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_FIXED,
                                fd_,
                                static_cast<off_t>(mapped_bytes_));
    if (mapped == MAP_FAILED) {
      return fail_errno(errno, what);
    }
    mapped_bytes_ = end;
    return {};
  }

  // The values reached so far; stays where it is when more are reached.
  [[nodiscard]] std::span<T> values() const {
    return {reinterpret_cast<T*>(start_), std::min(mapped_bytes_ / sizeof(T), count_)};
  }

 private:
  static constexpr std::size_t kPage = 4096;        // x86-64
  static constexpr std::size_t kStep = 32 * kPage;  // mapped at once

  static std::size_t rounded_up(std::size_t bytes, std::size_t to) {
    return (bytes + to - 1) / to * to;
  }
  [[nodiscard]] std::size_t reserved_bytes() const { return rounded_up(count_ * sizeof(T), kPage); }

  int fd_ = -1;  // the map's own; libbpf closes it
  std::size_t count_ = 0;
  std::byte* start_ = nullptr;
  std::size_t mapped_bytes_ = 0;
};

}  // namespace hvguard::observe
