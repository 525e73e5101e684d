#include "enforce/limits_protocol.h"

#include <algorithm>

#include "base/message_codec.h"

namespace hvguard::enforce {
namespace {

constexpr std::size_t kMaxPathBytes = 4096;
constexpr std::size_t kMaxErrorBytes = 512;

void write(MessageWriter& writer, SettingValue value) {
  writer.number(static_cast<std::uint8_t>(value ? 1 : 0));
  writer.number(value.value_or(0));
}

void write(MessageWriter& writer, const SettingKey& key) {
  writer.number(static_cast<std::uint32_t>(key.kind));
  writer.number(key.device.major);
  writer.number(key.device.minor);
}

SettingValue read_value(MessageReader& reader) {
  const bool present = reader.number<std::uint8_t>() != 0;
  const auto value = reader.number<std::uint64_t>();
  return present ? SettingValue(value) : std::nullopt;
}

SettingKey read_key(MessageReader& reader) {
  const auto kind = reader.number<std::uint32_t>();
  if (kind >= kLimitKindCount) {
    reader.fail();
    return {};
  }
  const auto major_number = reader.number<std::uint32_t>();
  const auto minor_number = reader.number<std::uint32_t>();
  return {static_cast<LimitKind>(kind), {major_number, minor_number}};
}

// How many follow; a number over the bound fails the message.
std::size_t read_count(MessageReader& reader, std::size_t most) {
  const auto count = reader.number<std::uint32_t>();
  if (count > most) {
    reader.fail();
    return 0;
  }
  return count;
}

}  // namespace

std::string encode(const LimitsRequest& request) {
  MessageWriter writer;
  writer.number(request.id);
  writer.number(static_cast<std::uint32_t>(request.operation));
  writer.text(request.cgroup_path, kMaxPathBytes);
  writer.number(request.cgroup.value);
  const std::size_t count = std::min(request.settings.size(), kMaxSettings);
  writer.number(static_cast<std::uint32_t>(count));
  for (std::size_t i = 0; i < count; ++i) {
    write(writer, request.settings[i].key);
    write(writer, request.settings[i].value);
  }
  return writer.take();
}

std::string encode(const LimitsAnswer& answer) {
  MessageWriter writer;
  writer.number(answer.id);
  writer.number(static_cast<std::uint8_t>(answer.gone ? 1 : 0));
  const std::size_t count = std::min(answer.results.size(), kMaxSettings);
  writer.number(static_cast<std::uint32_t>(count));
  for (std::size_t i = 0; i < count; ++i) {
    const SettingResult& result = answer.results[i];
    write(writer, result.key);
    writer.number(static_cast<std::uint8_t>(result.known ? 1 : 0));
    write(writer, result.value);
    writer.number(static_cast<std::uint8_t>(result.unfinished ? 1 : 0));
    writer.text(result.error, kMaxErrorBytes);
  }
  const std::size_t lines = std::min(answer.io_max.size(), kMaxIoMaxLines);
  writer.number(static_cast<std::uint32_t>(lines));
  for (std::size_t i = 0; i < lines; ++i) {
    writer.number(answer.io_max[i].device.major);
    writer.number(answer.io_max[i].device.minor);
    for (const SettingValue& value : answer.io_max[i].values) {
      write(writer, value);
    }
  }
  return writer.take();
}

Result<LimitsRequest> decode_limits_request(std::string_view message) {
  MessageReader reader(message);
  LimitsRequest request;
  request.id = reader.number<std::uint64_t>();
  const auto operation = reader.number<std::uint32_t>();
  request.operation = static_cast<LimitsOperation>(operation);
  request.cgroup_path = reader.text();
  request.cgroup.value = reader.number<std::uint64_t>();
  const auto count = read_count(reader, kMaxSettings);
  for (std::size_t i = 0; i < count && !reader.failed(); ++i) {
    const SettingKey key = read_key(reader);
    request.settings.push_back({key, read_value(reader)});
  }
  if (!reader.complete() || operation > static_cast<std::uint32_t>(LimitsOperation::kWrite)) {
    return fail(Errc::kInvalid, "request to hvguard-limits is malformed");
  }
  return request;
}

Result<LimitsAnswer> decode_limits_answer(std::string_view message) {
  MessageReader reader(message);
  LimitsAnswer answer;
  answer.id = reader.number<std::uint64_t>();
  answer.gone = reader.number<std::uint8_t>() != 0;
  const auto count = read_count(reader, kMaxSettings);
  for (std::size_t i = 0; i < count && !reader.failed(); ++i) {
    SettingResult result;
    result.key = read_key(reader);
    result.known = reader.number<std::uint8_t>() != 0;
    result.value = read_value(reader);
    result.unfinished = reader.number<std::uint8_t>() != 0;
    result.error = reader.text();
    answer.results.push_back(std::move(result));
  }
  const auto lines = read_count(reader, kMaxIoMaxLines);
  for (std::size_t i = 0; i < lines && !reader.failed(); ++i) {
    DeviceLimits limits;
    limits.device.major = reader.number<std::uint32_t>();
    limits.device.minor = reader.number<std::uint32_t>();
    for (SettingValue& value : limits.values) {
      value = read_value(reader);
    }
    answer.io_max.push_back(limits);
  }
  if (!reader.complete()) {
    return fail(Errc::kInvalid, "answer of hvguard-limits is malformed");
  }
  return answer;
}

LimitsAnswer answer_limits(const DirFd& mount, const LimitsRequest& request) {
  LimitsAnswer answer;
  answer.id = request.id;
  const auto files = open_cgroup(mount, request.cgroup_path, request.cgroup);
  answer.gone = !files && files.error().code == Errc::kGone;
  for (const Setting& setting : request.settings) {
    if (!files) {
      answer.results.push_back({.key = setting.key, .error = files.error().message});
    } else if (request.operation == LimitsOperation::kWrite) {
      answer.results.push_back(write_setting(*files, setting));
    } else {
      answer.results.push_back(read_setting(*files, setting.key));
    }
  }
  if (files) {
    if (const auto text = files->read("io.max")) {
      answer.io_max = parse_io_max(*text);
    }
  }
  return answer;
}

}  // namespace hvguard::enforce
