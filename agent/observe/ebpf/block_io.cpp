#include "observe/ebpf/block_io.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "observe/ebpf/mapped_array.h"
#include "observe/ebpf/pending_requests.h"
#include "shared/block_io.h"

// After it: the skeleton uses its types.
#include "block_io.skel.h"

namespace hvguard::observe {
namespace {

static_assert(IO_LATENCY_BUCKETS == kLatencyBuckets);
static_assert(IO_OPERATION_COUNT == kIoOperationCount);

constexpr std::uint32_t kOtherOwner = 0;
constexpr std::string_view kMapAccounts = "map the IO counters";
// A program that found an account just before it was closed has long finished after this.
constexpr Nanoseconds kQuarantine = std::chrono::milliseconds(50);

Nanoseconds clock_now(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return std::chrono::seconds(now.tv_sec) + Nanoseconds(now.tv_nsec);
}

std::uint64_t load(const std::uint64_t& value) {
  return __atomic_load_n(&value, __ATOMIC_RELAXED);
}

struct Vm {
  std::uint32_t owner = 0;
  bool by_process = false;
  std::vector<std::uint64_t> cgroups;
};

struct ClosedAccount {
  std::uint32_t account = 0;
  Nanoseconds closed{0};
};

// 2 is enough to keep CPUs apart that really share a VM's disk; 4 on large hosts.
std::uint32_t shards_for(int cpus) {
  return cpus <= 1 ? 1 : cpus <= 32 ? 2 : 4;
}

void add_counts(const io_account& shard, BlockIoReading& reading) {
  for (std::size_t i = 0; i < kIoOperationCount; ++i) {
    const io_counts& from = shard.by_operation[i];
    IoOperationReading& to = reading.by_operation.at(i);
    to.operations.value += load(from.operations);
    to.bytes.value += load(from.bytes);
    to.errors.value += load(from.errors);
    for (std::size_t bucket = 0; bucket < kLatencyBuckets; ++bucket) {
      to.queue_time.at(bucket) += load(from.queue_time[bucket]);
      to.device_time.at(bucket) += load(from.device_time[bucket]);
    }
  }
}

}  // namespace

class BlockIoReader::Implementation {
 public:
  Implementation() = default;
  Implementation(const Implementation&) = delete;
  Implementation& operator=(const Implementation&) = delete;
  ~Implementation() { block_io_bpf__destroy(object_); }

  Result<> open(const BpfSupport& support, const BlockIoOptions& options);
  Result<> set_vm(const VmId& id, IoAttribution how, std::span<const CgroupId> cgroups);
  void drop_vm(const VmId& id);
  void retain_devices(std::span<const DeviceId> devices);
  Result<std::vector<BlockIoReading>> read();
  [[nodiscard]] BlockIoLosses losses() const;
  [[nodiscard]] std::vector<BpfProgramStatistics> statistics() const {
    return program_statistics(object_->obj);
  }

 private:
  Result<> prepare_accounts();
  Result<> set_cgroups(Vm& vm, std::vector<std::uint64_t> wanted);
  Result<> set_process(const VmId& id, Vm& vm, bool wanted);
  Result<> follow_submitters();
  void forget_cgroup(std::uint64_t cgroup, std::uint32_t owner);
  Result<std::size_t> list_accounts();
  void close_account(const io_account_key& key, std::uint32_t account);
  void recycle_accounts();
  [[nodiscard]] BlockIoReading read_account(const io_account_key& key,
                                            std::uint32_t account,
                                            const InFlight& in_flight);
  void fill_times(BlockIoReading& reading,
                  const InFlight& in_flight,
                  std::uint32_t account,
                  std::uint64_t last_completion);

  block_io_bpf* object_ = nullptr;
  std::uint32_t shards_ = 1;
  MappedArray<io_account> accounts_;
  PendingRequests pending_;

  std::map<VmId, Vm> vms_;
  std::map<std::uint32_t, VmId> vm_of_owner_;
  std::uint32_t last_owner_ = kOtherOwner;
  std::vector<ClosedAccount> closed_;

  // Of the read under way.
  Nanoseconds monotonic_{0};
  Nanoseconds boot_{0};
  std::vector<io_account_key> keys_;
  std::vector<std::uint32_t> numbers_;
  std::vector<io_account_key> key_of_;              // by account
  std::vector<std::optional<BootTime>> last_idle_;  // by account
};

Result<> BlockIoReader::Implementation::open(const BpfSupport& support,
                                             const BlockIoOptions& options) {
  const auto opened = run_libbpf("block_io", "open", support, [this] {
    object_ = block_io_bpf__open_opts(open_options());
    return object_ != nullptr ? 0 : -errno;
  });
  if (!opened) {
    return opened;
  }
  const std::uint32_t limit = std::clamp(options.max_accounts, 1U, IO_MAX_ACCOUNTS);
  shards_ = shards_for(::libbpf_num_possible_cpus());
  object_->rodata->shard_mask = shards_ - 1;
  // Only once a VM is known by its process: follow_submitters().
  bpf_program__set_autoattach(object_->progs.request_insert, false);
  bpf_program__set_autoload(object_->progs.find_ended, support.may_probe_read);
  object_->rodata->use_cgroup = support.io_on_cgroup2 ? 1 : 0;
  bpf_map__set_max_entries(object_->maps.accounts, limit * shards_);
  bpf_map__set_max_entries(object_->maps.account_by_key, limit);
  bpf_map__set_max_entries(object_->maps.free_accounts, limit);
  const auto loaded =
      run_libbpf("block_io", "load", support, [this] { return block_io_bpf__load(object_); });
  if (!loaded) {
    return loaded;
  }
  if (auto mapped = accounts_.open(object_->maps.accounts, 0, kMapAccounts); !mapped) {
    return mapped;
  }
  if (auto mapped = pending_.open(object_, support.may_probe_read, options.ask_after); !mapped) {
    return mapped;
  }
  if (auto prepared = prepare_accounts(); !prepared) {
    return prepared;
  }
  return run_libbpf(
      "block_io", "attach", support, [this] { return block_io_bpf__attach(object_); });
}

Result<> BlockIoReader::Implementation::prepare_accounts() {
  const std::uint32_t limit = bpf_map__max_entries(object_->maps.account_by_key);
  // A stack: the lowest numbers come out first, and their pages are the only ones in use.
  for (std::uint32_t account = limit; account-- > 0;) {
    if (bpf_map__update_elem(
            object_->maps.free_accounts, nullptr, 0, &account, sizeof(account), BPF_ANY) != 0) {
      return fail_errno(errno, "fill the list of free IO counters");
    }
  }
  keys_.resize(limit);
  numbers_.resize(limit);
  key_of_.resize(limit);
  last_idle_.resize(limit);
  return {};
}

Result<> BlockIoReader::Implementation::set_vm(const VmId& id,
                                               IoAttribution how,
                                               std::span<const CgroupId> cgroups) {
  Vm& vm = vms_[id];
  if (vm.owner == kOtherOwner) {
    vm.owner = ++last_owner_;
    vm_of_owner_.emplace(vm.owner, id);
  }
  std::vector<std::uint64_t> wanted;
  if (how == IoAttribution::kCgroup) {
    for (const CgroupId& cgroup : cgroups) {
      wanted.push_back(cgroup.value);
    }
    std::sort(wanted.begin(), wanted.end());
  }
  if (wanted != vm.cgroups) {
    if (auto set = set_cgroups(vm, std::move(wanted)); !set) {
      return set;
    }
  }
  return set_process(id, vm, how == IoAttribution::kSubmitter);
}

Result<> BlockIoReader::Implementation::set_cgroups(Vm& vm, std::vector<std::uint64_t> wanted) {
  for (const std::uint64_t old : vm.cgroups) {
    if (!std::binary_search(wanted.begin(), wanted.end(), old)) {
      forget_cgroup(old, vm.owner);
    }
  }
  vm.cgroups = std::move(wanted);
  for (const std::uint64_t cgroup : vm.cgroups) {
    if (bpf_map__update_elem(object_->maps.owner_by_cgroup,
                             &cgroup,
                             sizeof(cgroup),
                             &vm.owner,
                             sizeof(vm.owner),
                             BPF_ANY) != 0) {
      return fail_errno(errno, "count IO of one more cgroup");
    }
  }
  return {};
}

Result<> BlockIoReader::Implementation::set_process(const VmId& id, Vm& vm, bool wanted) {
  if (vm.by_process == wanted) {
    return {};
  }
  const auto tgid = static_cast<std::uint32_t>(id.tgid);
  auto& count = object_->bss->submitter_count;
  if (!wanted) {
    bpf_map__delete_elem(object_->maps.owner_by_process, &tgid, sizeof(tgid), 0);
    vm.by_process = false;
    --count;
    return {};
  }
  if (auto following = follow_submitters(); !following) {
    return following;
  }
  if (bpf_map__update_elem(object_->maps.owner_by_process,
                           &tgid,
                           sizeof(tgid),
                           &vm.owner,
                           sizeof(vm.owner),
                           BPF_ANY) != 0) {
    return fail_errno(errno, "count IO of one more process");
  }
  ++count;
  vm.by_process = true;
  return {};
}

// For good: without submitters the program returns at once.
Result<> BlockIoReader::Implementation::follow_submitters() {
  bpf_link*& link = object_->links.request_insert;
  if (link == nullptr) {
    link = bpf_program__attach(object_->progs.request_insert);
  }
  if (link == nullptr) {
    return fail_errno(errno, "attach to the insertion of requests");
  }
  return {};
}

// Unless another VM has claimed it meanwhile.
void BlockIoReader::Implementation::forget_cgroup(std::uint64_t cgroup, std::uint32_t owner) {
  std::uint32_t present = 0;
  bpf_map* const map = object_->maps.owner_by_cgroup;
  if (bpf_map__lookup_elem(map, &cgroup, sizeof(cgroup), &present, sizeof(present), 0) == 0 &&
      present == owner) {
    bpf_map__delete_elem(map, &cgroup, sizeof(cgroup), 0);
  }
}

void BlockIoReader::Implementation::drop_vm(const VmId& id) {
  const auto found = vms_.find(id);
  if (found == vms_.end()) {
    return;
  }
  for (const std::uint64_t cgroup : found->second.cgroups) {
    forget_cgroup(cgroup, found->second.owner);
  }
  // Deleting cannot fail in a way that matters: the key is there or it is not.
  static_cast<void>(set_process(id, found->second, false));
  vm_of_owner_.erase(found->second.owner);
  vms_.erase(found);
}

void BlockIoReader::Implementation::retain_devices(std::span<const DeviceId> devices) {
  const auto count = list_accounts();
  for (std::size_t i = 0; i < count.value_or(0); ++i) {
    const DeviceId device{keys_[i].major, keys_[i].minor};
    if (std::find(devices.begin(), devices.end(), device) == devices.end()) {
      close_account(keys_[i], numbers_[i]);
    }
  }
}

// Fills keys_, numbers_ and key_of_, and maps their counters; how many there are.
Result<std::size_t> BlockIoReader::Implementation::list_accounts() {
  std::uint32_t position = 0;
  auto count = static_cast<std::uint32_t>(keys_.size());
  const int error = bpf_map_lookup_batch(bpf_map__fd(object_->maps.account_by_key),
                                         nullptr,
                                         &position,
                                         keys_.data(),
                                         numbers_.data(),
                                         &count,
                                         nullptr);
  if (error != 0 && errno != ENOENT) {  // ENOENT: the end was reached
    return fail_errno(errno, "list the IO counters");
  }
  const std::uint32_t highest =
      count == 0 ? 0 : *std::max_element(numbers_.begin(), numbers_.begin() + count);
  if (auto mapped = accounts_.reach((highest + std::size_t{1}) * shards_, kMapAccounts); !mapped) {
    return fail(mapped.error());
  }
  for (std::size_t i = 0; i < count; ++i) {
    key_of_[numbers_[i]] = keys_[i];
  }
  return count;
}

void BlockIoReader::Implementation::close_account(const io_account_key& key,
                                                  std::uint32_t account) {
  if (bpf_map__delete_elem(object_->maps.account_by_key, &key, sizeof(key), 0) == 0) {
    closed_.push_back({account, clock_now(CLOCK_MONOTONIC)});
  }
}

void BlockIoReader::Implementation::recycle_accounts() {
  std::erase_if(closed_, [this](const ClosedAccount& closed) {
    if (monotonic_ - closed.closed < kQuarantine) {
      return false;
    }
    const auto shards = accounts_.values().subspan(closed.account * shards_, shards_);
    const std::uint32_t generation = shards.front().generation + 1;
    for (io_account& shard : shards) {
      shard = {};
      shard.generation = generation;
    }
    last_idle_[closed.account].reset();
    return bpf_map__update_elem(object_->maps.free_accounts,
                                nullptr,
                                0,
                                &closed.account,
                                sizeof(closed.account),
                                BPF_ANY) == 0;
  });
}

Result<std::vector<BlockIoReading>> BlockIoReader::Implementation::read() {
  monotonic_ = clock_now(CLOCK_MONOTONIC);
  boot_ = clock_now(CLOCK_BOOTTIME);
  recycle_accounts();
  const auto count = list_accounts();
  if (!count) {
    return fail(count.error());
  }
  const std::vector<InFlight>& in_flight =
      pending_.count({accounts_.values(), shards_, key_of_},
                     static_cast<std::uint32_t>(monotonic_.count() >> IO_TIME_SHIFT));
  std::vector<BlockIoReading> readings;
  readings.reserve(*count);
  for (std::size_t i = 0; i < *count; ++i) {
    if (keys_[i].owner != kOtherOwner && !vm_of_owner_.contains(keys_[i].owner)) {
      close_account(keys_[i], numbers_[i]);
    } else {
      readings.push_back(read_account(keys_[i], numbers_[i], in_flight[numbers_[i]]));
    }
  }
  return readings;
}

BlockIoReading BlockIoReader::Implementation::read_account(const io_account_key& key,
                                                           std::uint32_t account,
                                                           const InFlight& in_flight) {
  BlockIoReading reading;
  if (key.owner != kOtherOwner) {
    reading.vm = vm_of_owner_.at(key.owner);
  }
  reading.device = {key.major, key.minor};
  std::uint64_t last_completion = 0;
  for (const io_account& shard : accounts_.values().subspan(account * shards_, shards_)) {
    add_counts(shard, reading);
    last_completion = std::max(last_completion, load(shard.last_completion_ns));
  }
  fill_times(reading, in_flight, account, last_completion);
  return reading;
}

void BlockIoReader::Implementation::fill_times(BlockIoReading& reading,
                                               const InFlight& pending,
                                               std::uint32_t account,
                                               std::uint64_t last_completion) {
  std::optional<BootTime>& last_idle = last_idle_[account];
  reading.in_flight_count = pending.count;
  if (pending_.forgets()) {
    reading.flush_in_flight_count = pending.flush_count;
  }
  const Nanoseconds boot_minus_monotonic = boot_ - monotonic_;
  if (last_completion != 0) {
    reading.last_completion = BootTime{Nanoseconds(last_completion) + boot_minus_monotonic};
  }
  if (pending.count == 0) {
    last_idle = BootTime{boot_};
  } else {
    // If the oldest request was issued after the last completion, nothing was in flight before it.
    const Nanoseconds now_rounded{(monotonic_.count() >> IO_TIME_SHIFT) << IO_TIME_SHIFT};
    const Nanoseconds issued =
        now_rounded - Nanoseconds(std::int64_t{pending.oldest_age} << IO_TIME_SHIFT);
    if (issued.count() >= static_cast<std::int64_t>(last_completion)) {
      const BootTime idle{issued + boot_minus_monotonic};
      last_idle = last_idle ? std::max(*last_idle, idle) : idle;
    }
  }
  reading.last_idle = last_idle;
}

BlockIoLosses BlockIoReader::Implementation::losses() const {
  BlockIoLosses losses;
  std::vector<io_statistics> per_cpu(static_cast<std::size_t>(::libbpf_num_possible_cpus()));
  const std::uint32_t zero = 0;
  if (bpf_map__lookup_elem(object_->maps.statistics,
                           &zero,
                           sizeof(zero),
                           per_cpu.data(),
                           per_cpu.size() * sizeof(io_statistics),
                           0) != 0) {
    return losses;
  }
  for (const io_statistics& cpu : per_cpu) {
    losses.no_account += cpu.no_account;
    losses.no_pending += cpu.no_pending;
    losses.unseen += cpu.unseen;
    losses.stale += cpu.stale;
    losses.untimed += cpu.untimed;
  }
  losses.stale += pending_.forgotten_count();
  losses.no_pending += losses.stale;
  return losses;
}

BlockIoReader::BlockIoReader(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}
BlockIoReader::BlockIoReader(BlockIoReader&&) noexcept = default;
BlockIoReader& BlockIoReader::operator=(BlockIoReader&&) noexcept = default;
BlockIoReader::~BlockIoReader() = default;

Result<BlockIoReader> BlockIoReader::open(const BpfSupport& support,
                                          const BlockIoOptions& options) {
  auto implementation = std::make_unique<Implementation>();
  if (auto opened = implementation->open(support, options); !opened) {
    return fail(std::move(opened).error());
  }
  return BlockIoReader(std::move(implementation));
}

Result<> BlockIoReader::set_vm(const VmId& vm,
                               IoAttribution how,
                               std::span<const CgroupId> cgroups) {
  return implementation_->set_vm(vm, how, cgroups);
}
void BlockIoReader::drop_vm(const VmId& vm) {
  implementation_->drop_vm(vm);
}
void BlockIoReader::retain_devices(std::span<const DeviceId> devices) {
  implementation_->retain_devices(devices);
}
Result<std::vector<BlockIoReading>> BlockIoReader::read() {
  return implementation_->read();
}
BlockIoLosses BlockIoReader::losses() const {
  return implementation_->losses();
}
std::vector<BpfProgramStatistics> BlockIoReader::statistics() const {
  return implementation_->statistics();
}

}  // namespace hvguard::observe
