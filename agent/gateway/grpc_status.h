// Our errors as gRPC statuses.
#pragma once

#include <grpcpp/support/status.h>

#include "base/result.h"

namespace hvguard::gateway {

[[nodiscard]] grpc::Status to_status(const Error& error);

}  // namespace hvguard::gateway
