// A configuration text → the exact words that an operator gets for it.
#pragma once

#include <string>
#include <vector>

#include "config/decode.h"
#include "config/validate.h"

namespace hvguard::config {

inline std::vector<std::string> faults_of(const std::string& text) {
  const Draft draft = decode({}, text, "f.toml");
  std::vector<std::string> out;
  for (const Fault& fault : draft.faults) {
    out.push_back(to_string(fault));
  }
  for (const Fault& fault : validate(draft).faults) {
    out.push_back(to_string(fault));
  }
  return out;
}

struct BadFile {
  const char* what;
  const char* text;
  std::vector<std::string> faults;
};

}  // namespace hvguard::config
