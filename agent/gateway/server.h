// Server: the gRPC server without a listener of its own; connections come from the Acceptor, each
// with its role. Bounded: facts in server.cpp.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "base/fd.h"
#include "base/result.h"
#include "base/time.h"
#include "gateway/roles.h"

namespace hvguard::gateway {

class Server {
 public:
  // The services must outlive the server. Health starts as NOT_SERVING.
  static Result<std::unique_ptr<Server>> start(const std::vector<grpc::Service*>& services,
                                               bool reflection);

  // Takes a connection over. The acceptor's thread.
  void take(Role role, UniqueFd connection);
  // What the health service says. Any thread.
  void set_serving(bool serving);
  // Ends all calls within the time given.
  void shutdown(Nanoseconds within);

 private:
  Server() = default;

  // By role.
  std::array<std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor>, 2> acceptors_;
  std::unique_ptr<grpc::Server> server_;
};

// What gRPC and protobuf log by themselves, which strangers can cause without end: only gRPC's
// errors, rate limited. Once, before any use of gRPC.
void limit_library_logs();

}  // namespace hvguard::gateway
