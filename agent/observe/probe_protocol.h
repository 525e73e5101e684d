// What the sampler and hvguard-probe say to each other: one datagram per message on a
// SOCK_SEQPACKET pair, both ends from the same build. Lengths are checked on both sides all the
// same: the texts come from strangers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/helper_process.h"
#include "base/ids.h"
#include "base/result.h"

namespace hvguard::observe {

inline constexpr int kProbeSocketFd = kHelperSocketFd;
inline constexpr std::size_t kMaxCommandLineBytes = std::size_t{64} << 10;
inline constexpr std::size_t kMaxProbeTextBytes = 4096;  // each other text
inline constexpr std::size_t kMaxProbeMessageBytes = kMaxCommandLineBytes + 512;

// What a probe process is for. Two processes, so that a stuck bus never delays a command line.
enum class ProbeKind : std::uint32_t { kProcess, kBus };

struct ProbeRequest {
  std::uint64_t id = 0;
  Pid tgid = 0;
  std::string unit;  // kBus: whose KillMode is asked for; empty if there is none
};

// The answers to one request come in this order, so that one read that hangs does not take with it
// what could be read before. The last two end the answer.
enum class ProbeStage : std::uint32_t {
  kCgroup,       // text: cgroup v2 path, empty if there is none
  kProcess,      // text: base name of the executable; number: start in clock ticks; flag: KVM fd
  kCommandLine,  // text: command line, NUL after each word
  kBus,          // text: KillMode, second: name by systemd-machined; each may be empty
};

struct ProbeAnswer {
  std::uint64_t id = 0;
  ProbeStage stage = ProbeStage::kCgroup;
  std::int64_t number = -1;  // -1: not known
  bool flag = false;
  bool gone = false;  // the process does not exist (any more)
  std::string text;
  std::string second;
  std::string error;  // why this stage knows nothing; empty if it does
};

[[nodiscard]] std::string encode(const ProbeRequest& request);
[[nodiscard]] std::string encode(const ProbeAnswer& answer);
[[nodiscard]] Result<ProbeRequest> decode_request(std::string_view message);
[[nodiscard]] Result<ProbeAnswer> decode_answer(std::string_view message);

}  // namespace hvguard::observe
