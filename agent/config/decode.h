// TOML text → Draft. The keys are the fields of hvguard.v1.Config, found by protobuf reflection, so
// that a new field needs no code here. Nothing is judged but names and types; validate.h does the
// rest, save that a table of a list ([[vm_class]]) needs a name to be known by. Pure; called by the
// configuration reader's thread and fuzzed by tests/fuzz/fuzz_config.cpp.
#pragma once

#include <string>
#include <string_view>

#include "config/draft.h"

namespace hvguard::config {

// Longer texts are refused before they are parsed.
inline constexpr std::size_t kMaxConfigBytes = 256 * 1024;

// `draft` with the text's keys on top, and the text's faults added. A text that is no TOML gives
// the one fault at which the parser stopped, and changes no value. `file` is only for messages.
[[nodiscard]] Draft decode(Draft draft, std::string_view text, const std::string& file);

}  // namespace hvguard::config
