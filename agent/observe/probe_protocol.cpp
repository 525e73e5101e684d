#include "observe/probe_protocol.h"

#include <cstring>
#include <type_traits>

namespace hvguard::observe {
namespace {

class Writer {
 public:
  template <class T>
  void number(T value) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto at = bytes_.size();
    bytes_.resize(at + sizeof value);
    std::memcpy(bytes_.data() + at, &value, sizeof value);
  }
  void text(std::string_view value, std::size_t max_bytes) {
    value = value.substr(0, max_bytes);
    number(static_cast<std::uint32_t>(value.size()));
    bytes_ += value;
  }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// Once anything is missing, failed() stays true and values are empty.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  template <class T>
  T number() {
    T value{};
    if (failed_ || rest_.size() < sizeof value) {
      failed_ = true;
      return value;
    }
    rest_.copy(reinterpret_cast<char*>(&value), sizeof value);
    rest_.remove_prefix(sizeof value);
    return value;
  }
  std::string text() {
    const auto size = number<std::uint32_t>();
    if (failed_ || rest_.size() < size) {
      failed_ = true;
      return {};
    }
    std::string value(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return value;
  }
  [[nodiscard]] bool complete() const { return !failed_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

}  // namespace

std::string encode(const ProbeRequest& request) {
  Writer writer;
  writer.number(request.id);
  writer.number(request.tgid);
  writer.text(request.unit, kMaxProbeTextBytes);
  return writer.take();
}

std::string encode(const ProbeAnswer& answer) {
  Writer writer;
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
  Reader reader(message);
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
  Reader reader(message);
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
