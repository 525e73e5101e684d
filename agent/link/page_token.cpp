#include "link/page_token.h"

#include <fmt/format.h>

#include "base/parse.h"

namespace hvguard::link {
namespace {

std::string to_hex(std::string_view text) {
  std::string out;
  out.reserve(text.size() * 2);
  for (const char c : text) {
    fmt::format_to(std::back_inserter(out), "{:02x}", static_cast<unsigned char>(c));
  }
  return out;
}

bool from_hex(std::string_view hex, std::string& text) {
  if (hex.size() % 2 != 0) {
    return false;
  }
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const auto byte = parse_number<std::uint8_t>(hex.substr(i, 2), 16);
    if (!byte) {
      return false;
    }
    text += static_cast<char>(*byte);
  }
  return true;
}

tl::unexpected<Error> foreign_token() {
  return fail(Errc::kInvalid,
              "page_token is not from an answer to this same request: keep the filter, or start "
              "again without page_token");
}

}  // namespace

std::uint64_t fingerprint(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return hash;
}

std::string make_page_token(std::string_view question, const std::vector<std::string>& key) {
  std::string token = fmt::format("{:016x}", fingerprint(question));
  for (const std::string& field : key) {
    token += '.';
    token += to_hex(field);
  }
  return token;
}

Result<std::vector<std::string>> read_page_token(std::string_view question,
                                                 std::string_view token,
                                                 std::size_t key_size) {
  if (token.size() > kMaxPageTokenBytes ||
      next_field(token, '.') != fmt::format("{:016x}", fingerprint(question))) {
    return foreign_token();
  }
  std::vector<std::string> key;
  for (std::size_t i = 0; i < key_size; ++i) {
    std::string field;
    if (!from_hex(next_field(token, '.'), field)) {
      return foreign_token();
    }
    key.push_back(std::move(field));
  }
  if (!token.empty()) {
    return foreign_token();
  }
  return key;
}

}  // namespace hvguard::link
