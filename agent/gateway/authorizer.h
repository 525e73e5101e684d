// Authorizer: gRPC's per-call question whether the connection's role may call this path. One per
// role, since a role belongs to a connection (roles.h). Called by gRPC on its threads, never
// blocks.
#pragma once

#include <memory>

#include <grpcpp/security/auth_metadata_processor.h>

#include "gateway/log.h"
#include "gateway/roles.h"

namespace hvguard::gateway {

class Authorizer final : public grpc::AuthMetadataProcessor {
 public:
  // Calls of one role: a burst of 200, then 100 per second. An operator's script is far below; a
  // loop gone wild is not.
  static constexpr std::uint32_t kBurst = 200;
  static constexpr Nanoseconds kInterval = std::chrono::milliseconds(10);

  Authorizer(Role role, bool reflection) : role_(role), reflection_(reflection) {}

  bool IsBlocking() const override { return false; }
  grpc::Status Process(const InputMetadata& metadata,
                       grpc::AuthContext* context,
                       OutputMetadata* consumed,
                       OutputMetadata* response) override;

 private:
  const Role role_;
  const bool reflection_;
  RateLimit calls_{kBurst, kInterval};
  RateLimit denial_log_{3, std::chrono::seconds(10)};
};

}  // namespace hvguard::gateway
