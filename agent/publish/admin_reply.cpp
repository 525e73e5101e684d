#include "publish/admin_reply.h"

#include <utility>
#include <variant>

#include "publish/frame.h"
#include "publish/safe_line.h"

namespace hvguard::publish {
namespace {

constexpr std::size_t kMaxMessageBytes = 1024;

// One function for each action: the response of its method.
struct ReplyWriter {
  const AdminAnswer& answer;
  std::uint64_t reload_count;
  const Labels& labels;
  const ClockPair& clocks;
  v1::AdminReply& out;

  void operator()(const SetLimitAction& /*action*/) const {
    auto& response = *out.mutable_set_limit();
    if (!answer.limits.empty()) {
      *response.mutable_limit() = to_proto(answer.limits.front(), labels, clocks);
    }
    note(response);
  }
  void operator()(const ReleaseLimitAction& /*action*/) const {
    auto& response = *out.mutable_release_limit();
    for (const Limit& limit : answer.limits) {
      if (static_cast<std::size_t>(response.limits_size()) == kMaxAnsweredLimits) {
        break;
      }
      *response.add_limits() = to_proto(limit, labels, clocks);
    }
    response.set_limit_count(static_cast<std::uint32_t>(answer.limits.size()));
    note(response);
  }
  void operator()(const SetModeAction& /*action*/) const {
    auto& response = *out.mutable_set_mode();
    if (answer.mode) {
      response.set_mode(to_proto(*answer.mode));
    }
    note(response);
  }
  void operator()(const SetCordonAction& action) const {
    auto& response = *out.mutable_set_cordon();
    response.set_cordoned(answer.cordoned.value_or(action.cordoned));
    note(response);
  }
  void operator()(const AcknowledgeIncidentAction& /*action*/) const {
    auto& response = *out.mutable_acknowledge_incident();
    if (answer.incident) {
      *response.mutable_incident() = to_proto(*answer.incident, clocks, labels.devices);
      response.mutable_incident()->clear_evidence();
    }
    note(response);
  }
  void operator()(const ReloadConfigAction& /*action*/) const {
    auto& response = *out.mutable_reload_config();
    response.set_reload_count(reload_count);
    note(response);
  }

  template <class Response>
  void note(Response& response) const {
    response.set_note(safe_line(answer.note, kMaxMessageBytes));
  }
};

}  // namespace

v1::AdminReply admin_error(const Error& error) {
  v1::AdminReply reply;
  reply.mutable_error()->set_code(std::string(to_string(error.code)));
  reply.mutable_error()->set_message(safe_line(error.message, kMaxMessageBytes));
  return reply;
}

v1::AdminReply admin_reply(const AdminRequest& request,
                           const Result<AdminAnswer>& answer,
                           std::uint64_t reload_count,
                           const Labels& labels,
                           const ClockPair& clocks) {
  if (!answer) {
    return admin_error(answer.error());
  }
  v1::AdminReply reply;
  std::visit(ReplyWriter{*answer, reload_count, labels, clocks, reply}, request.action);
  return reply;
}

std::string encode_admin_reply(v1::AdminReply reply) {
  v1::CorePacket packet;
  *packet.mutable_admin_reply() = std::move(reply);
  std::string bytes = packet.SerializeAsString();
  if (bytes.size() >
      kMaxPacketBytes) {  // the bounds above make that impossible; a client gets a word
    packet.Clear();
    *packet.mutable_admin_reply() =
        admin_error({Errc::kInternal, 0, "it was done, but the answer is too large to send"});
    bytes = packet.SerializeAsString();
  }
  return bytes;
}

}  // namespace hvguard::publish
