#include "observe/ebpf/lifecycle.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fnmatch.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <tuple>

#include <fmt/format.h>

#include "base/fd.h"
#include "shared/lifecycle.h"

// After it: the skeleton uses its types.
#include "lifecycle.skel.h"

namespace hvguard::observe {
namespace {

constexpr std::size_t kMaxProcesses = 4096;

template <std::size_t size>
std::string text_of(const char (&array)[size]) {
  return {array, ::strnlen(array, size)};
}

ManagerProcess process_of(const manager_record& record) {
  ManagerProcess process;
  process.tgid = record.tgid;
  process.start = {Nanoseconds(record.start_boottime)};
  process.cgroup = {record.cgroup};
  process.comm = text_of(record.comm);
  process.executable = text_of(record.executable);
  process.has_kvm = record.has_kvm != 0;
  return process;
}

// The kernel side compares only what stands before the first wildcard.
name_prefix prefix_of(std::string_view glob) {
  name_prefix prefix{};
  const std::string_view literal = glob.substr(0, glob.find_first_of("*?[\\"));
  std::array<char, sizeof(prefix.value)> value{};
  std::array<char, sizeof(prefix.mask)> mask{};
  const std::size_t length = std::min(literal.size(), value.size());
  std::copy_n(literal.begin(), length, value.begin());
  std::fill_n(mask.begin(), length, '\xff');
  std::memcpy(prefix.value, value.data(), value.size());
  std::memcpy(prefix.mask, mask.data(), mask.size());
  return prefix;
}

// A name that is too long to be told was matched by comm in the kernel: let it pass, the probe
// learns the rest.
bool matches(const ManagerProcess& process, std::span<const std::string> globs) {
  return process.executable.empty() ||
         std::any_of(globs.begin(), globs.end(), [&process](const std::string& glob) {
           return ::fnmatch(glob.c_str(), process.executable.c_str(), 0) == 0;
         });
}

int receive(void* context, void* data, std::size_t size) {
  if (size >= sizeof(lifecycle_event)) {
    lifecycle_event event{};
    std::memcpy(&event, data, sizeof(event));
    static_cast<std::vector<LifecycleEvent>*>(context)->push_back(
        {.type = event.type == LIFECYCLE_EXEC ? LifecycleEventType::kExec
                                              : LifecycleEventType::kStopSignal,
         .time = {Nanoseconds(event.boottime_ns)},
         .process = process_of(event.manager)});
  }
  return 0;
}

// All records of one run of an iterator; those beyond the bound are counted in `dropped`.
struct ScanPart {
  std::vector<ManagerProcess> processes;
  std::uint64_t dropped_count = 0;
};

Result<ScanPart> read_iterator(const bpf_link* link, std::string_view what) {
  UniqueFd iterator(::bpf_iter_create(bpf_link__fd(link)));
  if (!iterator.valid()) {
    return fail_errno(errno, what);
  }
  ScanPart part;
  std::array<manager_record, 512> records{};
  for (;;) {
    const ssize_t length = ::read(iterator.get(), records.data(), sizeof(records));
    if (length < 0 && (errno == EINTR || errno == EAGAIN)) {
      continue;  // EAGAIN: a million objects without a match
    }
    if (length < 0) {
      return fail_errno(errno, what);
    }
    if (length == 0) {
      return part;
    }
    const auto count = static_cast<std::size_t>(length) / sizeof(manager_record);
    for (const manager_record& record : std::span(records).first(count)) {
      if (part.processes.size() < kMaxProcesses) {
        part.processes.push_back(process_of(record));
      } else {
        ++part.dropped_count;
      }
    }
  }
}

}  // namespace

void LifecycleReader::Close::operator()(lifecycle_bpf* object) const {
  lifecycle_bpf__destroy(object);
}
void LifecycleReader::Close::operator()(ring_buffer* ring) const {
  ring_buffer__free(ring);
}

LifecycleReader::LifecycleReader(std::unique_ptr<lifecycle_bpf, Close> object,
                                 std::unique_ptr<ring_buffer, Close> ring,
                                 std::unique_ptr<std::vector<LifecycleEvent>> received)
    : object_(std::move(object)), received_(std::move(received)), ring_(std::move(ring)) {}
LifecycleReader::LifecycleReader(LifecycleReader&&) noexcept = default;
LifecycleReader& LifecycleReader::operator=(LifecycleReader&&) noexcept = default;
LifecycleReader::~LifecycleReader() = default;

Result<LifecycleReader> LifecycleReader::open(const BpfSupport& support,
                                              std::span<const std::string> executables) {
  std::unique_ptr<lifecycle_bpf, Close> object;
  const auto loaded = run_libbpf("lifecycle", "load", support, [&object] {
    object.reset(lifecycle_bpf__open_opts(open_options()));
    return object ? lifecycle_bpf__load(object.get()) : -errno;
  });
  if (!loaded) {
    return fail(loaded.error());
  }
  auto received = std::make_unique<std::vector<LifecycleEvent>>();
  std::unique_ptr<ring_buffer, Close> ring(
      ring_buffer__new(bpf_map__fd(object->maps.events), receive, received.get(), nullptr));
  if (!ring) {
    return fail_errno(errno, "map the ring of lifecycle events");
  }
  lifecycle_bpf* const raw = object.get();
  LifecycleReader reader(std::move(object), std::move(ring), std::move(received));
  if (auto set = reader.set_executables(executables); !set) {
    return fail(std::move(set).error());
  }
  const auto attached =
      run_libbpf("lifecycle", "attach", support, [raw] { return lifecycle_bpf__attach(raw); });
  if (!attached) {
    return fail(attached.error());
  }
  return reader;
}

Result<> LifecycleReader::set_executables(std::span<const std::string> executables) {
  if (executables.size() > NAME_PREFIX_COUNT) {
    return fail(Errc::kInvalid,
                fmt::format("{} executable globs for VM managers; {} is the most",
                            executables.size(),
                            NAME_PREFIX_COUNT));
  }
  auto& bss = *object_->bss;
  std::size_t used = 0;
  bool any = false;
  for (const std::string& glob : executables) {
    const name_prefix prefix = prefix_of(glob);
    if (prefix.mask[0] == 0) {
      any = true;
    } else {
      bss.prefixes[used++] = prefix;
    }
  }
  for (; used < NAME_PREFIX_COUNT; ++used) {
    bss.prefixes[used] = {};
  }
  bss.match_any_name = any ? 1 : 0;
  executables_.assign(executables.begin(), executables.end());
  return {};
}

Result<> LifecycleReader::watch(Pid tgid, BootTime start) {
  const auto key = static_cast<std::uint32_t>(tgid);
  const auto value = static_cast<std::uint64_t>(start.since_boot.count());
  if (bpf_map__update_elem(
          object_->maps.watched, &key, sizeof(key), &value, sizeof(value), BPF_ANY) != 0) {
    return fail_errno(errno, fmt::format("watch process {} for its end", tgid));
  }
  return {};
}

void LifecycleReader::unwatch(Pid tgid) {
  const auto key = static_cast<std::uint32_t>(tgid);
  bpf_map__delete_elem(object_->maps.watched, &key, sizeof(key), 0);
}

int LifecycleReader::event_fd() const {
  return ring_buffer__epoll_fd(ring_.get());
}

Result<std::vector<LifecycleEvent>> LifecycleReader::events() {
  received_->clear();
  const int result = ring_buffer__consume(ring_.get());
  if (result < 0) {
    return fail_errno(-result, "read lifecycle events");
  }
  std::vector<LifecycleEvent> events;
  events.swap(*received_);
  std::erase_if(events, [this](const LifecycleEvent& event) {
    return event.type == LifecycleEventType::kExec && !matches(event.process, executables_);
  });
  return events;
}

Result<std::vector<ManagerProcess>> LifecycleReader::scan() {
  object_->bss->last_kvm_tgid = 0;
  auto by_kvm = read_iterator(object_->links.managers_by_kvm, "look for KVM descriptors");
  if (!by_kvm) {
    return fail(std::move(by_kvm).error());
  }
  auto by_name = read_iterator(object_->links.managers_by_name, "look for VM managers by name");
  if (!by_name) {
    return fail(std::move(by_name).error());
  }
  dropped_processes_ += by_kvm->dropped_count + by_name->dropped_count;
  std::vector<ManagerProcess> found = std::move(by_kvm->processes);
  for (ManagerProcess& process : by_name->processes) {
    if (matches(process, executables_)) {
      found.push_back(std::move(process));
    }
  }
  // Of a process found both ways the record with the KVM descriptor comes first and stays.
  const auto rank = [](const ManagerProcess& process) {
    return std::tuple(process.tgid, !process.has_kvm, process.start);
  };
  std::sort(found.begin(), found.end(), [rank](const auto& a, const auto& b) {
    return rank(a) < rank(b);
  });
  const auto same = [](const auto& a, const auto& b) { return a.tgid == b.tgid; };
  found.erase(std::unique(found.begin(), found.end(), same), found.end());
  return found;
}

std::uint64_t LifecycleReader::dropped_count() const {
  return object_->bss->dropped + dropped_processes_;
}

std::vector<BpfProgramStatistics> LifecycleReader::statistics() const {
  return program_statistics(object_->obj);
}

}  // namespace hvguard::observe
