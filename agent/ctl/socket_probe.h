// Why a call to the gateway failed: gRPC says "unavailable" for everything, the socket itself says
// more.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hvguard::ctl {

// Connects once to the socket and listens shortly. Gives the error to show: nobody listens, no
// permission, turned away with the gateway's own words; or `otherwise` if the socket is in order.
[[nodiscard]] Error explain_unreachable(const std::string& path, Error otherwise);

// An HTTP/2 GOAWAY frame (RFC 9113, 6.8).
struct GoAway {
  std::uint32_t error_code = 0;
  std::string reason;  // its debug text, escaped
};

// The GOAWAY among the first bytes that an HTTP/2 server sent; none if there is none with a reason.
[[nodiscard]] std::optional<GoAway> find_goaway(std::string_view bytes);

}  // namespace hvguard::ctl
