// IO of known amount against a block device, by the ways a VM manager does it. All of them end the
// calling process with status 1 if an operation fails, so they are for lab::Process bodies.
#pragma once

#include <cstddef>
#include <string>

namespace hvguard::lab {

enum class Direction { kRead, kWrite };

// `count` operations of `size` bytes each with O_DIRECT, one after the other.
void direct_io(const std::string& device, Direction direction, int count, std::size_t size);
// As above by blocks of 4 KiB in `threads` threads at once, each with its own count and its own
// mebibyte, from `first_mebibyte` on.
void threaded_io(
    const std::string& device, Direction direction, int threads, int count, int first_mebibyte = 0);
// `count` O_DIRECT writes of 4 KiB at once, each in a thread of its own, 64 KiB apart so that none
// are merged.
void spread_writes(const std::string& device, int count, long start);
// `count` O_DIRECT reads of 4 KiB through io_uring, forced to its worker threads (IOSQE_ASYNC) or,
// with `kernel_poll`, submitted by its polling thread (IORING_SETUP_SQPOLL).
void ring_reads(const std::string& device, int count, bool kernel_poll);
// `count` times: write a block through the page cache, then fdatasync.
void flushes(const std::string& device, int count);
// Discards (BLKDISCARD) `count` times 64 KiB.
void discards(const std::string& device, int count);

}  // namespace hvguard::lab
