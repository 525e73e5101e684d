#include "gateway/roles.h"

#include <algorithm>
#include <array>

namespace hvguard::gateway {
namespace {

struct Entry {
  std::string_view path;
  Role role;
};

// A test walks the descriptors and fails for an RPC that has no entry.
constexpr std::array kEntries = {
    Entry{"/hvguard.v1.AgentService/GetStatus", Role::kViewer},
    Entry{"/hvguard.v1.AgentService/ListVms", Role::kViewer},
    Entry{"/hvguard.v1.AgentService/GetVm", Role::kViewer},
    Entry{"/hvguard.v1.AgentService/ListBlockedTasks", Role::kViewer},
    Entry{"/hvguard.v1.AgentService/ListIncidents", Role::kViewer},
    Entry{"/hvguard.v1.AgentService/GetIncident", Role::kViewer},
    Entry{"/hvguard.v1.AgentService/WatchIncidents", Role::kViewer},
    Entry{"/hvguard.v1.AgentService/WatchStatus", Role::kViewer},
    Entry{"/hvguard.v1.AgentService/ListLimits", Role::kViewer},
    Entry{"/hvguard.v1.AgentService/ListDecisions", Role::kViewer},
    Entry{"/hvguard.v1.AdminService/SetLimit", Role::kOperator},
    Entry{"/hvguard.v1.AdminService/ReleaseLimit", Role::kOperator},
    Entry{"/hvguard.v1.AdminService/SetMode", Role::kOperator},
    Entry{"/hvguard.v1.AdminService/SetCordon", Role::kOperator},
    Entry{"/hvguard.v1.AdminService/AcknowledgeIncident", Role::kOperator},
    Entry{"/hvguard.v1.AdminService/ReloadConfig", Role::kOperator},
    Entry{"/grpc.health.v1.Health/Check", Role::kViewer},
    Entry{"/grpc.health.v1.Health/Watch", Role::kViewer},
    Entry{"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Role::kViewer},
};

}  // namespace

std::string_view to_string(Role role) {
  return role == Role::kOperator ? "operator" : "viewer";
}

std::optional<Role> role_of(const PeerCredentials& peer, const PeerPolicy& policy) {
  if (peer.uid == 0) {
    return Role::kOperator;
  }
  const bool in_group = policy.viewer_gid && (peer.gid == *policy.viewer_gid ||
                                              std::ranges::count(peer.groups, *policy.viewer_gid));
  if (peer.uid == policy.own_uid || in_group) {
    return Role::kViewer;
  }
  return std::nullopt;
}

std::optional<Role> role_needed(std::string_view path) {
  const auto entry = std::ranges::find(kEntries, path, &Entry::path);
  return entry == kEntries.end() ? std::nullopt : std::optional(entry->role);
}

}  // namespace hvguard::gateway
