// Answers as JSON: the messages of the API by protobuf's JSON mapping, with the proto's own field
// names. 64-bit integers are strings there, since JSON numbers are doubles to most readers. Fields
// that may be missing are left out when they are; all others are always there.
#pragma once

#include <string>
#include <string_view>

#include <google/protobuf/message.h>

namespace hvguard::ctl {

[[nodiscard]] std::string json_text(const google::protobuf::Message& message);  // indented
[[nodiscard]] std::string json_line(const google::protobuf::Message& message);  // one line
// agent: empty if not known.
[[nodiscard]] std::string version_json(std::string_view ctl, std::string_view agent);

}  // namespace hvguard::ctl
