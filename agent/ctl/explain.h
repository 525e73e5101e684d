// Explanations of incidents: what the evidence says, what it means, what to do. Pure.
// The texts are docs/RUNBOOK.md's in short; a new Incident.Kind needs one here (a test walks them).
#pragma once

#include <string>

#include "ctl/table.h"
#include "hvguard/v1/incident.pb.h"

namespace hvguard::ctl {

struct Explanation {
  std::string meaning;  // whole lines, indented
  std::string remedy;
};

[[nodiscard]] Explanation explain(const v1::Incident& incident);
// Whole lines, indented.
[[nodiscard]] std::string evidence_text(const v1::Incident& incident, const Style& style);

}  // namespace hvguard::ctl
