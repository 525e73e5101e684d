// A gateway under test, in a folder of its own, with a FakeCore behind it and clients before it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "fake_core.h"
#include "hvguard/v1/agent_service.grpc.pb.h"
#include "process.h"
#include "sample_frame.h"
#include "temp_dir.h"
#include "wait.h"

namespace hvguard::test {

class GatewayTest : public ::testing::Test {
 protected:
  // Returns when the socket takes connections.
  void start_gateway(const std::vector<std::string>& options = {}, const ProcessSetup& setup = {});
  // And a guard that has told of one frame, which the gateway has.
  void start_both(const std::vector<std::string>& options = {}, const ProcessSetup& setup = {});
  void tell(int vm_count = 3);

  [[nodiscard]] std::string gateway_log() const { return read_whole_file(log_path()); }
  [[nodiscard]] std::string log_path() const { return dir.file("gateway.log"); }
  [[nodiscard]] std::string socket_path() const { return dir.file("agent.sock"); }
  [[nodiscard]] std::string core_path() const { return dir.file("core.sock"); }

  // A new channel each.
  [[nodiscard]] std::unique_ptr<v1::AgentService::Stub> client() const;
  [[nodiscard]] std::shared_ptr<grpc::Channel> channel() const;
  static void set_deadline(grpc::ClientContext& context, int milliseconds = 5000);
  // GetStatus on a new channel.
  grpc::Status get_status(v1::GetStatusResponse& response, int milliseconds = 2000) const;

  TempDir dir;
  std::unique_ptr<FakeCore> core;
  std::unique_ptr<Process> gateway;
  std::uint64_t tick = 0;
};

}  // namespace hvguard::test
