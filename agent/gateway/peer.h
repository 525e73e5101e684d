// Who is on the other end of a unix socket, and a last word to one who is turned away.
#pragma once

#include <string_view>

#include "base/result.h"
#include "gateway/roles.h"

namespace hvguard::gateway {

// SO_PEERCRED and SO_PEERGROUPS: what the peer was when it connected.
Result<PeerCredentials> read_peer(int fd);

// HTTP/2 error codes (RFC 9113, 7) as hvguardctl reads them.
enum class Refusal : char {
  kBusy = 0xb,    // ENHANCE_YOUR_CALM: a limit; trying again may help
  kDenied = 0xc,  // INADEQUATE_SECURITY: no role
};

// Tells an HTTP/2 client why its connection is closed next (RFC 9113: SETTINGS, then GOAWAY with
// the reason as debug data; hvguardctl shows it). Never blocks; a peer that does not read misses
// it.
void send_farewell(int fd, Refusal refusal, std::string_view reason);

}  // namespace hvguard::gateway
