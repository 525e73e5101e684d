// What the command line of a VM manager tells: name, UUID, guest memory, vCPUs, accelerator.
// Pure; called by the sampler thread on what the probe read, fuzzed by
// tests/fuzz/fuzz_command_line.cpp. Command lines come from strangers: names are made safe and
// bounded here, numbers that overflow or make no sense are absent.
// Sources: QEMU's qemu-options.hx and util/qemu-option.c (implied keys, ",," for a comma),
// `firecracker --help`, `cloud-hypervisor --help`, `crosvm run --help`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/vm.h"

namespace hvguard::observe {

inline constexpr std::size_t kMaxNameBytes = 128;

struct CommandLineFacts {
  std::string name;  // safe text; empty if none is given
  std::string uuid;  // lower case; empty if none is given
  Accelerator accelerator = Accelerator::kUnknown;
  std::optional<std::uint64_t> guest_memory_bytes;
  std::optional<std::uint32_t> vcpu_count;
  // QEMU with "-machine none": it runs no guest, and only tells what it could do. libvirt starts
  // such ones for a second each time that it starts (src/qemu/qemu_process.c,
  // qemuProcessQMPLaunch).
  bool without_guest = false;
};

// By the base name of the executable.
[[nodiscard]] VmManager manager_of(std::string_view executable);

// `command_line` is /proc/PID/cmdline: words that end in NUL. A last word without NUL is taken as
// it is. Where an option is given twice the last one counts, as for the managers themselves.
[[nodiscard]] CommandLineFacts parse_command_line(std::string_view executable,
                                                  std::string_view command_line);

// "512M", "1.5G", "0x10" is none; a bare number counts default_unit bytes. Suffixes b k m g t, any
// case, an "iB" or "B" after them allowed. None for zero, overflow, and all else.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text,
                                                      std::uint64_t default_unit);

}  // namespace hvguard::observe
