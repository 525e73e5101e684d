#include "decide/limit_words.h"

#include <utility>

#include <fmt/format.h>

#include "base/text.h"

namespace hvguard {
namespace {

bool told_together(const Decision& a, const Decision& b) {
  return a.vm && a.vm == b.vm && a.step == b.step && a.dry_run == b.dry_run &&
         a.incident_id.empty() && b.incident_id.empty();
}

}  // namespace

std::string format_limit(LimitKind kind, std::uint64_t value) {
  switch (kind) {
    case LimitKind::kReadBytes:
    case LimitKind::kWriteBytes:
      return fmt::format("{:.1f} MB/s", static_cast<double>(value) / 1e6);
    case LimitKind::kReadOperations:
    case LimitKind::kWriteOperations:
      return fmt::format("{} operations/s", value);
    case LimitKind::kMemoryLow:
    case LimitKind::kMemoryHigh:
    case LimitKind::kMemoryMax:
    case LimitKind::kSwapMax:
      return format_bytes(value);
    case LimitKind::kCpuMax:
      return fmt::format("{:.2f} cores", static_cast<double>(value) / 1e6);
    case LimitKind::kPidsMax:
      return fmt::format("{} tasks", value);
    case LimitKind::kIoWeight:
    case LimitKind::kCpuWeight:
      break;
  }
  return fmt::format("{}", value);
}

std::vector<Decision> fold_decisions(std::vector<Decision> decisions) {
  std::vector<Decision> folded;
  for (Decision& decision : decisions) {
    if (folded.empty() || !told_together(folded.back(), decision)) {
      folded.push_back(std::move(decision));
      continue;
    }
    Decision& whole = folded.back();
    if (whole.reason.find(decision.reason) == std::string::npos) {
      whole.reason += "; " + decision.reason;
    }
    whole.kind.reset();
    whole.device.reset();
    whole.value.reset();
  }
  return folded;
}

}  // namespace hvguard
