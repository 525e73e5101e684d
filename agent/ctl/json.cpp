#include "ctl/json.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

namespace hvguard::ctl {
namespace {

std::string to_json(const google::protobuf::Message& message, bool indent) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  options.add_whitespace = indent;
  std::string out;
  // Fails only for times out of range; what was written until then is cut JSON, which no reader
  // takes for whole.
  if (!google::protobuf::util::MessageToJsonString(message, &out, options).ok()) {
    out += "\n";
  }
  if (!out.ends_with('\n')) {
    out += "\n";
  }
  return out;
}

}  // namespace

std::string json_text(const google::protobuf::Message& message) {
  return to_json(message, true);
}

std::string json_line(const google::protobuf::Message& message) {
  return to_json(message, false);
}

std::string version_json(std::string_view ctl, std::string_view agent) {
  google::protobuf::Struct versions;
  (*versions.mutable_fields())["hvguardctl"].set_string_value(std::string(ctl));
  auto& of_agent = (*versions.mutable_fields())["hvguardd"];
  if (agent.empty()) {
    of_agent.set_null_value(google::protobuf::NULL_VALUE);
  } else {
    of_agent.set_string_value(std::string(agent));
  }
  return json_text(versions);
}

}  // namespace hvguard::ctl
