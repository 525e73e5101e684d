// A BPF array map with BPF_F_MMAPABLE in our own address space: reading it costs no system call.
// For the adapters in this folder.
#pragma once

#include <bpf/libbpf.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <span>
#include <string_view>

#include "base/result.h"

namespace hvguard::observe {

// An mmapable array map of the kernel's as a span of its values. Counters are read while they grow:
// each one is a single aligned load.
template <class T>
class MappedArray {
 public:
  MappedArray() = default;
  MappedArray(const MappedArray&) = delete;
  MappedArray& operator=(const MappedArray&) = delete;
  ~MappedArray() {
    if (!values_.empty()) {
      ::munmap(values_.data(), values_.size_bytes());
    }
  }

  Result<> map(const bpf_map* map, std::string_view what) {
    static_assert(sizeof(T) % 8 == 0, "the kernel rounds values up to 8 bytes");
    const std::size_t count = bpf_map__max_entries(map);
    void* const start =
        ::mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
    if (start == MAP_FAILED) {
      return fail_errno(errno, what);
    }
    values_ = {static_cast<T*>(start), count};
    return {};
  }
  [[nodiscard]] std::span<T> values() const { return values_; }

 private:
  std::span<T> values_;
};

}  // namespace hvguard::observe
