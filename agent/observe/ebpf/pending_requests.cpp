#include "observe/ebpf/pending_requests.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>

// After shared/block_io.h: the skeleton uses its types.
#include "block_io.skel.h"

namespace hvguard::observe {
namespace {

std::uint64_t load(const std::uint64_t& value) {
  return __atomic_load_n(&value, __ATOMIC_RELAXED);
}

bool is_in_flight(std::uint64_t detail) {
  const std::uint64_t state = IO_DETAIL_STATE(detail);
  return state == IO_PENDING_ISSUED || state == IO_PENDING_FLUSH;
}

std::uint32_t age_of(std::uint64_t detail, std::uint32_t now) {
  const std::uint32_t age = now - static_cast<std::uint32_t>(IO_DETAIL_TIME(detail));
  // The upper half is the future: an entry newer than `now`.
  return age > UINT32_MAX / 2 ? 0 : age;
}

// Does the account still exist that the entry was made for?
bool is_open(const AccountTable& accounts, std::uint64_t detail) {
  const std::uint64_t account = IO_DETAIL_ACCOUNT(detail);
  return account < accounts.keys.size() &&
         account * accounts.shards_each < accounts.shards.size() &&  // else opened since listed
         (accounts.shards[account * accounts.shards_each].generation & 0xffffU) ==
             IO_DETAIL_GENERATION(detail);
}

}  // namespace

Result<> PendingRequests::open(block_io_bpf* object, bool may_ask, Nanoseconds ask_after) {
  object_ = object;
  program_ = may_ask ? bpf_program__fd(object->progs.find_ended) : -1;
  ask_after_ = static_cast<std::uint32_t>(ask_after.count() >> IO_TIME_SHIFT);
  asked_.reserve(IO_MAX_QUESTIONS);
  return table_.open(object->maps.pending, IO_PENDING_SETS, "map the requests");
}

const std::vector<InFlight>& PendingRequests::count(const AccountTable& accounts,
                                                    std::uint32_t now) {
  add_up(accounts, now);
  if (any_old_ && program_ >= 0) {
    collect_old(accounts, now);
    if (forget_ended()) {
      add_up(accounts, now);
    }
  }
  return in_flight_;
}

void PendingRequests::add_up(const AccountTable& accounts, std::uint32_t now) {
  in_flight_.assign(accounts.keys.size(), InFlight{});
  any_old_ = false;
  for (const io_pending_set& set : table_.values()) {
    for (const io_pending& entry : set.way) {
      const std::uint64_t detail = load(entry.detail);
      if (!is_in_flight(detail)) {
        continue;
      }
      const std::uint32_t age = age_of(detail, now);
      any_old_ = any_old_ || age >= ask_after_;
      if (is_open(accounts, detail)) {
        InFlight& sum = in_flight_[IO_DETAIL_ACCOUNT(detail)];
        ++sum.count;
        sum.flush_count += IO_DETAIL_STATE(detail) == IO_PENDING_FLUSH ? 1U : 0U;
        sum.oldest_age = std::max(sum.oldest_age, age);
      }
    }
  }
}

// Up to IO_MAX_QUESTIONS of them, from where the last call ended.
void PendingRequests::collect_old(const AccountTable& accounts, std::uint32_t now) {
  asked_.clear();
  const auto sets = table_.values();
  std::size_t visited = 0;
  for (; visited < sets.size() && asked_.size() + IO_PENDING_WAYS <= IO_MAX_QUESTIONS; ++visited) {
    for (io_pending& entry : sets[(next_set_ + visited) % sets.size()].way) {
      const std::uint64_t detail = load(entry.detail);
      const bool is_bio = IO_DETAIL_STATE(detail) == IO_PENDING_FLUSH;
      // A flush is known by its disk, which a closed account no longer tells.
      if (!is_in_flight(detail) || age_of(detail, now) < ask_after_ ||
          (is_bio && !is_open(accounts, detail))) {
        continue;
      }
      io_question& question = object_->bss->questions[asked_.size()];
      question = {};
      question.key = load(entry.key);
      question.time = static_cast<std::uint32_t>(IO_DETAIL_TIME(detail));
      question.is_bio = is_bio ? 1 : 0;
      if (is_bio) {
        const io_account_key& key = accounts.keys[IO_DETAIL_ACCOUNT(detail)];
        question.major = key.major;
        question.minor = key.minor;
      }
      asked_.push_back({&entry, detail});
    }
  }
  next_set_ = (next_set_ + visited) % sets.size();
}

// Whether there were any.
bool PendingRequests::forget_ended() {
  object_->bss->question_count = static_cast<std::uint32_t>(asked_.size());
  bpf_test_run_opts options{};
  options.sz = sizeof(options);
  if (asked_.empty() || bpf_prog_test_run_opts(program_, &options) != 0) {
    return false;  // all stay; asked again at the next count
  }
  const std::uint64_t before = forgotten_count_;
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    // If its completion comes now, or its request is issued again, that one frees the entry.
    __u64 detail = asked_[i].detail;  // the entry's type, which is not std::uint64_t everywhere
    if (object_->bss->questions[i].ended != 0 &&
        __atomic_compare_exchange_n(
            &asked_[i].entry->detail, &detail, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
      __atomic_store_n(&asked_[i].entry->key, 0, __ATOMIC_RELEASE);
      ++forgotten_count_;
    }
  }
  return forgotten_count_ != before;
}

}  // namespace hvguard::observe
