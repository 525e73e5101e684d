// SwapReader: on which disks swap lies, from /proc/swaps and /sys/class/block: safety sets no io
// limit there. Sampler thread only. Reads /proc/swaps with each rescan and when SwapTotal has
// changed, not every tick. A swap file's disk is not looked up: that takes its path through a file
// system that may be stuck; nor is a device whose node has another name than the kernel's. Then
// nothing is known, which is a Gap.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "model/snapshot.h"
#include "observe/host_root.h"
#include "observe/source_book.h"

namespace hvguard::observe {

// Names of /dev that /proc/swaps lists ("sda2"); none if there is a swap file or a line that does
// not read.
[[nodiscard]] std::optional<std::vector<std::string_view>> parse_swaps(std::string_view text);

class SwapReader {
 public:
  // The next read() looks again.
  void rescan() { known_total_.reset(); }
  // `host` has its meminfo already.
  void read(const HostRoot& root, std::span<char> buffer, HostReading& host, SourceBook& book);

 private:
  std::optional<std::uint64_t> known_total_;  // SwapTotal at the last look
  std::optional<std::vector<DeviceId>> devices_;
};

}  // namespace hvguard::observe
