#include "gateway/authorizer.h"

#include <string>

#include <fmt/format.h>

#include "base/text.h"

namespace hvguard::gateway {
namespace {

constexpr std::size_t kMaxPathBytes = 128;  // shown of a path that a peer chose
constexpr std::string_view kReflection = "/grpc.reflection.";

}  // namespace

grpc::Status Authorizer::Process(const InputMetadata& metadata,
                                 grpc::AuthContext* /*context*/,
                                 OutputMetadata* /*consumed*/,
                                 OutputMetadata* /*response*/) {
  const auto found = metadata.find(":path");
  const std::string_view path = found == metadata.end()
                                    ? std::string_view()
                                    : std::string_view(found->second.data(), found->second.size());
  const auto needed =
      !reflection_ && path.starts_with(kReflection) ? std::nullopt : role_needed(path);
  if (!needed || role_ < *needed) {
    const std::string text =
        fmt::format("role {} may not call {}", to_string(role_), safe_text(path, kMaxPathBytes));
    log_limited(denial_log_, Level::kWarning, text);
    return {grpc::StatusCode::PERMISSION_DENIED, text};
  }
  if (!calls_.allow(boot_time_now())) {
    return {grpc::StatusCode::RESOURCE_EXHAUSTED,
            fmt::format("more than {} calls per second of role {}: call less often",
                        std::chrono::seconds(1) / kInterval,
                        to_string(role_))};
  }
  return grpc::Status::OK;
}

}  // namespace hvguard::gateway
