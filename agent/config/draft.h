// Draft: what configuration files say, before anyone has judged it; and Fault, one mistake in them.
// Files are decoded one after the other into the same Draft, a later one overriding single keys,
// and of a list of tables ([[vm_class]]) those of the same name as a whole. Plain data, any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "hvguard/v1/config.pb.h"

namespace hvguard::config {

// Where a value stands. An empty file means: nowhere, it is the default.
struct Origin {
  std::string file;
  std::uint32_t line = 0;  // from 1
  std::uint32_t column = 0;

  bool operator==(const Origin&) const = default;
};

// "/etc/hvguard/hvguard.toml:12:3", without the numbers where they are 0; "default" for nowhere.
[[nodiscard]] std::string to_string(const Origin& origin);

struct Fault {
  Origin origin;
  std::string message;  // safe text: what is wrong and what to write instead
};

// "/etc/hvguard/hvguard.toml:12:3: unknown key …"
[[nodiscard]] std::string to_string(const Fault& fault);

struct Draft {
  v1::Config values;  // only what the files set
  // Where each key was last set: "hung_task.open_after", "vm_class.small.mode".
  std::map<std::string, Origin> origins;
  std::vector<Fault> faults;              // in file order; at most kMaxFaults
  std::uint32_t dropped_fault_count = 0;  // faults beyond that

  void add_fault(Origin origin, std::string message);
};
inline constexpr std::size_t kMaxFaults = 100;

}  // namespace hvguard::config
