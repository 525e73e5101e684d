#include "config/draft.h"

#include <fmt/format.h>

namespace hvguard::config {

std::string to_string(const Origin& origin) {
  if (origin.file.empty()) {
    return "default";
  }
  if (origin.line == 0) {
    return origin.file;
  }
  return fmt::format("{}:{}:{}", origin.file, origin.line, origin.column);
}

std::string to_string(const Fault& fault) {
  return to_string(fault.origin) + ": " + fault.message;
}

void Draft::add_fault(Origin origin, std::string message) {
  if (faults.size() >= kMaxFaults) {
    ++dropped_fault_count;
    return;
  }
  faults.push_back({std::move(origin), std::move(message)});
}

}  // namespace hvguard::config
