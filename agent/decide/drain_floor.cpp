#include "decide/drain_floor.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace hvguard {
namespace {

constexpr std::uint64_t kLongestTimeoutSeconds = 86'400;
constexpr std::uint64_t kMostInFlight = 1ULL << 16U;  // a reading beyond is none

std::uint64_t configured_floor(const SafetyConfig& config, LimitKind kind) {
  switch (kind) {
    case LimitKind::kReadBytes:
      return config.min_read_bytes;
    case LimitKind::kReadOperations:
      return config.min_read_operations;
    case LimitKind::kWriteBytes:
      return config.min_write_bytes;
    case LimitKind::kWriteOperations:
      return config.min_write_operations;
    default:
      return 0;
  }
}

}  // namespace

std::optional<std::uint64_t> hung_task_timeout(const Snapshot* snapshot) {
  if (snapshot == nullptr || !snapshot->host.hung_task ||
      !snapshot->host.hung_task->timeout_seconds) {
    return kDefaultHungTaskSeconds;
  }
  const std::uint64_t timeout = *snapshot->host.hung_task->timeout_seconds;
  return timeout == 0 ? std::nullopt : std::optional(std::min(timeout, kLongestTimeoutSeconds));
}

std::uint64_t io_floor(const SafetyConfig& config,
                       LimitKind kind,
                       std::optional<std::uint64_t> timeout_seconds,
                       std::optional<std::uint64_t> in_flight) {
  const std::uint64_t configured = configured_floor(config, kind);
  if (!is_per_device(kind) || !timeout_seconds || !(config.drain_ratio > 0)) {
    return configured;
  }
  // In powers of two, as queues are: a floor that follows every request would never rest.
  const std::uint64_t requests =
      std::bit_ceil(std::clamp(in_flight.value_or(0), kWorstInFlight, kMostInFlight));
  const bool in_bytes = kind == LimitKind::kReadBytes || kind == LimitKind::kWriteBytes;
  const double amount =
      static_cast<double>(requests) * (in_bytes ? static_cast<double>(kLargestRequestBytes) : 1.0);
  const double drained =
      std::ceil(amount / (static_cast<double>(*timeout_seconds) * config.drain_ratio));
  return std::max(configured, static_cast<std::uint64_t>(std::min(drained, 1e15)));
}

std::uint64_t cpu_floor(const SafetyConfig& config, std::uint32_t vcpu_count) {
  const double cores = std::max(0.0, config.min_cpu_cores_per_vcpu) * std::max(vcpu_count, 1U);
  return static_cast<std::uint64_t>(std::ceil(std::min(cores, 1e6) * 1e6));
}

}  // namespace hvguard
