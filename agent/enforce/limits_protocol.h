// What hvguardd and `hvguard-limits serve` say to each other: one datagram per message on a
// SOCK_SEQPACKET pair, one answer to each request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "enforce/cgroup_files.h"
#include "enforce/limit_files.h"

namespace hvguard::enforce {

inline constexpr std::size_t kMaxSettings = 128;  // in one message
inline constexpr std::size_t kMaxLimitsMessageBytes = std::size_t{96} << 10;

enum class LimitsOperation : std::uint32_t { kRead, kWrite };

struct LimitsRequest {
  std::uint64_t id = 0;
  LimitsOperation operation = LimitsOperation::kRead;
  std::string cgroup_path;
  CgroupId cgroup;
  std::vector<Setting> settings;  // kRead: their keys alone count
};

struct LimitsAnswer {
  std::uint64_t id = 0;
  bool gone = false;                   // the cgroup has vanished, with all its settings
  std::vector<SettingResult> results;  // one for each setting, in the order of the request
  std::vector<DeviceLimits> io_max;    // the whole file, afterwards; empty without an io controller
};

[[nodiscard]] std::string encode(const LimitsRequest& request);
[[nodiscard]] std::string encode(const LimitsAnswer& answer);
[[nodiscard]] Result<LimitsRequest> decode_limits_request(std::string_view message);
[[nodiscard]] Result<LimitsAnswer> decode_limits_answer(std::string_view message);

// The helper's work: what blocks happens in here.
[[nodiscard]] LimitsAnswer answer_limits(const DirFd& mount, const LimitsRequest& request);

}  // namespace hvguard::enforce
