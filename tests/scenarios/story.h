// A story: a text file that tells tick by tick what happens on a host, and what the Pipeline said.
// tests/scenarios/README.md describes the words.
#pragma once

#include <string>

namespace hvguard::test {

// Runs the story; the golden text, or a line that begins with "error:" if it does not read.
std::string tell(const std::string& story);

}  // namespace hvguard::test
