// Page tokens: opaque to clients, and hostile when they come back. A token holds the sort key of
// the last item given, so that items that come and go between two pages shift nothing: a page
// starts behind that key wherever it now is. It also holds what was asked, so that it fits no other
// list.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hvguard::link {

// Longest token accepted.
inline constexpr std::size_t kMaxPageTokenBytes = 2048;

// question: the list and its filter, e.g. "ListVms" and the serialized filter.
[[nodiscard]] std::string make_page_token(std::string_view question,
                                          const std::vector<std::string>& key);
// The key. kInvalid if it is no token of ours, or one of another question.
Result<std::vector<std::string>> read_page_token(std::string_view question,
                                                 std::string_view token,
                                                 std::size_t key_size);

// FNV-1a, 64 bits: short, stable, and no secret rests on it.
[[nodiscard]] std::uint64_t fingerprint(std::string_view text);

}  // namespace hvguard::link
