// Listening unix socket of the gateway. One gateway at a time: a lock file beside the socket
// decides, since a bind that unlinks would steal the socket of one that runs. Used once, by main's
// thread.
#pragma once

#include <optional>
#include <string>

#include <sys/types.h>

#include "base/fd.h"
#include "base/result.h"

namespace hvguard::gateway {

struct Listener {
  UniqueFd fd;    // non-blocking
  UniqueFd lock;  // held while the gateway lives
};

// The socket is open to all (0666): roles come from SO_PEERCRED, and the directory keeps strangers
// away. A missing directory is made with mode 0750 and the group given. kExhausted: another gateway
// runs.
Result<Listener> listen_on(const std::string& path, std::optional<gid_t> directory_gid);

}  // namespace hvguard::gateway
