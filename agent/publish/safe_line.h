// A second fence for texts that the model calls safe already, and for systemd's own names
// ("machine-qemu\x2d1-web.scope"). Pure, any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hvguard::publish {

// As safe_text(), but backslashes stay as they are: safe_line(safe_line(x)) = safe_line(x), and an
// escaped unit name remains one that systemctl takes.
[[nodiscard]] std::string safe_line(std::string_view text, std::size_t max_bytes);

}  // namespace hvguard::publish
