// What this host lets us do with BPF, and how a BPF object of ours is opened and asked for its
// cost. Called by the sampler thread; block_io, lifecycle and tasks in this folder build on it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct bpf_object;
struct bpf_object_open_opts;

namespace hvguard::observe {

// What must be known before an object is opened. Everything false: as if nothing were there.
struct BpfSupport {
  bool btf = false;            // /sys/kernel/btf/vmlinux: without it no object of ours loads
  bool may_load = false;       // CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN, in the effective set
  bool host_pids = true;       // false in a container: BPF would name processes by other numbers
  bool may_probe_read = true;  // false under lockdown=confidentiality (bpf_probe_read_kernel)
  bool io_on_cgroup2 = false;  // the io controller is not held by a cgroup v1 hierarchy

  // 3: everything; 2: all but lock owners and kworker descriptions; 1: no BPF, use /proc.
  [[nodiscard]] int level() const;
  // What is missing and what that makes approximate; empty at level 3.
  [[nodiscard]] std::string explanation() const;
};

// Reads /proc/self/{status,ns/pid}, /proc/cgroups, /sys/kernel/{btf,security} below `root`: "/" on
// a host.
[[nodiscard]] BpfSupport probe_bpf(const std::string& root);

// One program as the kernel accounts for it; times stay 0 unless kernel.bpf_stats_enabled is set.
struct BpfProgramStatistics {
  std::string name;
  std::uint32_t id = 0;
  std::uint64_t run_count = 0;
  std::uint64_t run_nanoseconds = 0;
};

[[nodiscard]] std::vector<BpfProgramStatistics> program_statistics(bpf_object* object);

// How each object of ours is opened: against the types of the kernel proper. By itself libbpf also
// looks through the types of all modules for one that this kernel does not know, and that takes
// CAP_SYS_ADMIN (libbpf 1.1, load_module_btfs).
[[nodiscard]] const bpf_object_open_opts* open_options();

// Runs a libbpf call that returns 0 or a negative errno, keeping what libbpf prints (it may dump
// megabytes of verifier log) from stderr. The error says which object, what is missing, and the
// last telling line of libbpf: kUnsupported, kDenied, or what the errno maps to. Not even tried
// where `support` says that it cannot work.
Result<> run_libbpf(std::string_view object_name,
                    std::string_view step,
                    const BpfSupport& support,
                    const std::function<int()>& call);

}  // namespace hvguard::observe
