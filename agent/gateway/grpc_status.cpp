#include "gateway/grpc_status.h"

namespace hvguard::gateway {
namespace {

grpc::StatusCode code_of(Errc code) {
  switch (code) {
    case Errc::kNotFound:
    case Errc::kGone:
      return grpc::StatusCode::NOT_FOUND;
    case Errc::kDenied:
      return grpc::StatusCode::PERMISSION_DENIED;
    case Errc::kUnsupported:
      return grpc::StatusCode::UNIMPLEMENTED;
    case Errc::kInvalid:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case Errc::kTimeout:
      return grpc::StatusCode::DEADLINE_EXCEEDED;
    case Errc::kUnavailable:
      return grpc::StatusCode::UNAVAILABLE;
    case Errc::kExhausted:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case Errc::kInternal:
      break;
  }
  return grpc::StatusCode::INTERNAL;
}

}  // namespace

grpc::Status to_status(const Error& error) {
  return {code_of(error.code), error.message};
}

}  // namespace hvguard::gateway
