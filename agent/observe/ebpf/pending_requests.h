// PendingRequests: the table of block requests on their way, as bpf/block_io.bpf.c keeps it, summed
// per account; and the entries taken out of it whose completion the program missed. Owned and
// called by BlockIoReader on the sampler thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "observe/ebpf/mapped_array.h"
#include "shared/block_io.h"

struct block_io_bpf;

namespace hvguard::observe {

// Of one account.
struct InFlight {
  std::uint64_t count = 0;
  std::uint64_t flush_count = 0;  // of those
  std::uint32_t oldest_age = 0;   // in units of 2^IO_TIME_SHIFT nanoseconds
};

// The counters that entries refer to, by account number.
struct AccountTable {
  std::span<const io_account> shards;  // mapped so far
  std::uint32_t shards_each = 1;
  std::span<const io_account_key> keys;
};

class PendingRequests {
 public:
  // `object` is loaded and outlives this. Without `may_ask` (its program find_ended is not loaded)
  // nothing is ever taken out. Entries are asked about from an age of `ask_after` on.
  Result<> open(block_io_bpf* object, bool may_ask, Nanoseconds ask_after);

  // By account number, as many as there are keys; valid until the next call. `now` is
  // CLOCK_MONOTONIC >> IO_TIME_SHIFT.
  const std::vector<InFlight>& count(const AccountTable& accounts, std::uint32_t now);

  // Whether what was missed is taken out; if not, an entry may stand for a request long gone.
  [[nodiscard]] bool forgets() const { return program_ >= 0; }
  // Entries taken out: their requests ended and no completion was seen.
  [[nodiscard]] std::uint64_t forgotten_count() const { return forgotten_count_; }

 private:
  void add_up(const AccountTable& accounts, std::uint32_t now);
  void collect_old(const AccountTable& accounts, std::uint32_t now);
  bool forget_ended();

  block_io_bpf* object_ = nullptr;
  int program_ = -1;  // find_ended; libbpf closes it
  std::uint32_t ask_after_ = 0;
  MappedArray<io_pending_set> table_;
  std::vector<InFlight> in_flight_;
  bool any_old_ = false;
  std::size_t next_set_ = 0;  // where the next questions begin: all have their turn

  struct Asked {
    io_pending* entry = nullptr;
    std::uint64_t detail = 0;
  };
  std::vector<Asked> asked_;
  std::uint64_t forgotten_count_ = 0;
};

}  // namespace hvguard::observe
