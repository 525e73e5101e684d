#include "publish/core_request.h"

#include <algorithm>

#include <fmt/format.h>

#include "hvguard/v1/core_link.pb.h"
#include "publish/admin_request.h"
#include "publish/spool_report.h"

namespace hvguard::publish {

namespace {

std::size_t most_bytes(const CoreSender& sender) {
  return std::max({kMaxRequestBytes,
                   sender.may_change ? kMaxAdminRequestBytes : 0,
                   sender.may_attach ? kMaxSpoolRequestBytes : 0});
}

}  // namespace

Result<CoreRequest> parse_core_request(std::string_view packet, const CoreSender& sender) {
  const std::size_t most = most_bytes(sender);
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
      return CoreRequest{.kind = CoreRequestKind::kGetFrame};
    case v1::CoreRequest::kSubscribeFrames:
      return CoreRequest{.kind = CoreRequestKind::kSubscribeFrames};
    case v1::CoreRequest::kAttachSpool: {
      if (!sender.may_attach) {
        return fail(Errc::kDenied, "only hvguard-spool's user and root may attach as the spool");
      }
      auto report = spool_report_from_proto(request.attach_spool());
      if (!report) {
        return fail(std::move(report).error());
      }
      return CoreRequest{.kind = CoreRequestKind::kAttachSpool, .report = *std::move(report)};
    }
    case v1::CoreRequest::kAdmin:
      if (!sender.may_change) {
        return fail(Errc::kDenied, "only hvguard-gateway's user and root may change something");
      }
      if (packet.size() > kMaxAdminRequestBytes) {
        return fail(Errc::kInvalid,
                    fmt::format("such a request has at most {} bytes", kMaxAdminRequestBytes));
      }
      return CoreRequest{.kind = CoreRequestKind::kAdmin,
                         .admin = admin_request_from_proto(request.admin(), sender.name)};
    case v1::CoreRequest::KIND_NOT_SET:
      break;
  }
  return fail(Errc::kInvalid, "the request asks for nothing that is known here");
}

}  // namespace hvguard::publish
