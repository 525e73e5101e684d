// Text from strangers (comm, command lines, cgroup names) made safe to show, and text for people.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hvguard {

// At most max_bytes of printable UTF-8. Control characters, escape codes, bidirectional overrides,
// and bytes that are no UTF-8 become \xNN; a backslash becomes \\; what is cut ends in "…".
// Reaches terminal, journal and protobuf strings, which must be valid UTF-8.
[[nodiscard]] std::string safe_text(std::string_view raw, std::size_t max_bytes);

// "1.5 GiB", "512 KiB", "0 B": for people.
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);

// The candidate nearest to `word` by edit distance, or empty if none is near enough to suggest.
template <class Range>
[[nodiscard]] std::string_view nearest(std::string_view word, const Range& candidates);

// Number of single-character edits (insert, delete, replace, swap of neighbours) between the two.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

template <class Range>
std::string_view nearest(std::string_view word, const Range& candidates) {
  std::string_view best;
  std::size_t best_distance = word.size() / 3 + 2;  // farther than this is no typing mistake
  for (const auto& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace hvguard
