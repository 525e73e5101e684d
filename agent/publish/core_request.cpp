#include "publish/core_request.h"

#include <fmt/format.h>

#include "hvguard/v1/core_link.pb.h"
#include "publish/spool_report.h"

namespace hvguard::publish {

Result<CoreRequest> parse_core_request(std::string_view packet, bool from_spool) {
  const std::size_t most = from_spool ? kMaxSpoolRequestBytes : kMaxRequestBytes;
  if (packet.size() > most) {
    return fail(Errc::kInvalid, fmt::format("a request has at most {} bytes", most));
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
      return CoreRequest{.kind = CoreRequestKind::kGetFrame, .report = std::nullopt};
    case v1::CoreRequest::kSubscribeFrames:
      return CoreRequest{.kind = CoreRequestKind::kSubscribeFrames, .report = std::nullopt};
    case v1::CoreRequest::kAttachSpool: {
      if (!from_spool) {
        return fail(Errc::kDenied, "only hvguard-spool's user and root may attach as the spool");
      }
      auto report = spool_report_from_proto(request.attach_spool());
      if (!report) {
        return fail(std::move(report).error());
      }
      return CoreRequest{.kind = CoreRequestKind::kAttachSpool, .report = *std::move(report)};
    }
    case v1::CoreRequest::KIND_NOT_SET:
      break;
  }
  return fail(Errc::kInvalid, "the request asks for nothing that is known here");
}

}  // namespace hvguard::publish
