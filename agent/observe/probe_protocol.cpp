#include "observe/probe_protocol.h"

#include "base/message_codec.h"

namespace hvguard::observe {

std::string encode(const ProbeRequest& request) {
  MessageWriter writer;
  writer.number(request.id);
  writer.number(request.tgid);
  writer.text(request.unit, kMaxProbeTextBytes);
  return writer.take();
}

std::string encode(const ProbeAnswer& answer) {
  MessageWriter writer;
  writer.number(answer.id);
  writer.number(static_cast<std::uint32_t>(answer.stage));
  writer.number(answer.number);
  writer.number(static_cast<std::uint8_t>(answer.flag ? 1 : 0));
  writer.number(static_cast<std::uint8_t>(answer.gone ? 1 : 0));
  // All texts together stay below kMaxProbeMessageBytes: the long one is only in kCommandLine,
  // where the second is empty.
  const bool long_text = answer.stage == ProbeStage::kCommandLine;
  writer.text(answer.text, long_text ? kMaxCommandLineBytes : kMaxProbeTextBytes);
  writer.text(long_text ? std::string_view() : answer.second, kMaxProbeTextBytes);
  writer.text(answer.error, 256);
  return writer.take();
}

Result<ProbeRequest> decode_request(std::string_view message) {
  MessageReader reader(message);
  ProbeRequest request;
  request.id = reader.number<std::uint64_t>();
  request.tgid = reader.number<Pid>();
  request.unit = reader.text();
  if (!reader.complete() || request.tgid <= 0) {
    return fail(Errc::kInvalid, "request to the probe is malformed");
  }
  return request;
}

Result<ProbeAnswer> decode_answer(std::string_view message) {
  MessageReader reader(message);
  ProbeAnswer answer;
  answer.id = reader.number<std::uint64_t>();
  const auto stage = reader.number<std::uint32_t>();
  answer.number = reader.number<std::int64_t>();
  answer.flag = reader.number<std::uint8_t>() != 0;
  answer.gone = reader.number<std::uint8_t>() != 0;
  answer.text = reader.text();
  answer.second = reader.text();
  answer.error = reader.text();
  if (!reader.complete() || stage > static_cast<std::uint32_t>(ProbeStage::kBus)) {
    return fail(Errc::kInvalid, "answer of the probe is malformed");
  }
  answer.stage = static_cast<ProbeStage>(stage);
  return answer;
}

}  // namespace hvguard::observe
