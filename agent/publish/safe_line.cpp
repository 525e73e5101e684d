#include "publish/safe_line.h"

#include <algorithm>

#include "base/text.h"

namespace hvguard::publish {

std::string safe_line(std::string_view text, std::size_t max_bytes) {
  std::string out;
  while (true) {
    const std::size_t backslash = std::min(text.find('\\'), text.size());
    out += safe_text(text.substr(0, backslash), max_bytes - out.size());
    if (backslash == text.size() || out.size() >= max_bytes) {
      return out;
    }
    out += '\\';
    text.remove_prefix(backslash + 1);
  }
}

}  // namespace hvguard::publish
