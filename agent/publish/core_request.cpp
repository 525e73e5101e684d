#include "publish/core_request.h"

#include <fmt/format.h>

#include "hvguard/v1/core_link.pb.h"

namespace hvguard::publish {

Result<CoreRequestKind> parse_core_request(std::string_view packet) {
  if (packet.size() > kMaxRequestBytes) {
    return fail(Errc::kInvalid, fmt::format("a request has at most {} bytes", kMaxRequestBytes));
  }
  v1::CoreRequest request;
  if (!request.ParseFromArray(packet.data(), static_cast<int>(packet.size()))) {
    return fail(Errc::kInvalid, "not a hvguard.v1.CoreRequest");
  }
  if (request.protocol_version() != kCoreProtocolVersion) {
    return fail(Errc::kInvalid,
                fmt::format("protocol version {} is not spoken here, only {}; gateway, ctl and "
                            "hvguardd must be of the same package",
                            request.protocol_version(),
                            kCoreProtocolVersion));
  }
  switch (request.kind_case()) {
    case v1::CoreRequest::kGetFrame:
      return CoreRequestKind::kGetFrame;
    case v1::CoreRequest::kSubscribeFrames:
      return CoreRequestKind::kSubscribeFrames;
    case v1::CoreRequest::KIND_NOT_SET:
      break;
  }
  return fail(Errc::kInvalid, "the request asks for nothing that is known here");
}

}  // namespace hvguard::publish
