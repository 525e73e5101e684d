// Who may do what: the role of a peer by its credentials, and the role that each RPC needs.
// Default deny on both sides. Pure; any thread.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace hvguard::gateway {

// Each role may do all that those before it may.
enum class Role { kViewer, kOperator };

[[nodiscard]] std::string_view to_string(Role role);

// What the kernel says of a peer: SO_PEERCRED and SO_PEERGROUPS, both taken when it connected.
struct PeerCredentials {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
  std::vector<gid_t> groups;
};

struct PeerPolicy {
  uid_t own_uid = 0;
  std::optional<gid_t> viewer_gid;  // none: that group does not exist
};

// Root is operator; the gateway's own user and the members of the viewer group are viewers; others
// have no role.
[[nodiscard]] std::optional<Role> role_of(const PeerCredentials& peer, const PeerPolicy& policy);

// The role that a call of this HTTP/2 path ("/package.Service/Method") needs; none: nobody may.
[[nodiscard]] std::optional<Role> role_needed(std::string_view path);

}  // namespace hvguard::gateway
