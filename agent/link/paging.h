// What all paged lists share: bounds, and the walk over a sorted list from where the page before
// ended. Pure; used by link/*_queries.cpp and queries.cpp only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <google/protobuf/repeated_ptr_field.h>

#include "base/result.h"
#include "link/page_token.h"
#include "link/queries.h"

namespace hvguard::link {

inline constexpr std::size_t kMaxTextBytes = 512;  // of one text in a request

[[nodiscard]] Result<> check_text(std::string_view field, std::string_view text);
[[nodiscard]] Result<std::size_t> page_size(std::int32_t wanted);

// Walks a sorted list from behind the token's key; `add` puts an item into the answer.
// The list's order and the keys' order are the same, so keys are compared as text.
template <class List, class KeyOf, class Fits, class Add>
Result<std::string> fill_page(const List& list,
                              const std::string& question,
                              std::int32_t wanted,
                              const std::string& token,
                              KeyOf key_of,
                              Fits fits_filter,
                              Add add) {
  const auto size = page_size(wanted);
  if (!size) {
    return fail(size.error());
  }
  auto item = list.begin();
  if (!token.empty()) {
    const std::size_t key_size = list.empty() ? 0 : key_of(*list.begin()).size();
    if (list.empty()) {
      return std::string();  // all that was there has gone since the last page
    }
    const auto after = read_page_token(question, token, key_size);
    if (!after) {
      return fail(after.error());
    }
    item = std::partition_point(
        list.begin(), list.end(), [&](const auto& each) { return key_of(each) <= *after; });
  }

  std::size_t count = 0;
  std::size_t bytes = 0;
  auto last = list.end();
  for (; item != list.end(); ++item) {
    if (!fits_filter(*item)) {
      continue;
    }
    if (count == *size || (count > 0 && bytes > kMaxPageBytes)) {
      return make_page_token(question, key_of(*last));
    }
    bytes += add(*item);
    ++count;
    last = item;
  }
  return std::string();
}

template <class Filter>
std::string question_of(std::string_view method, const Filter& filter) {
  return fmt::format("{}\n{}", method, filter.SerializeAsString());
}

template <class Message>
std::size_t add_copy(google::protobuf::RepeatedPtrField<Message>& to, const Message& item) {
  *to.Add() = item;
  return item.ByteSizeLong();
}

}  // namespace hvguard::link
