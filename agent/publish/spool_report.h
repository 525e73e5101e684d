// BootRecord between model and proto. What hvguard-spool says is taken for hostile: it is bounded,
// its texts are made safe, its times have to be times, and a word that does not fit refuses the
// whole. Pure; the loop thread. Fuzzed by tests/fuzz/fuzz_core_request.cpp.
#pragma once

#include "base/result.h"
#include "hvguard/v1/boot_record.pb.h"
#include "hvguard/v1/core_link.pb.h"
#include "model/boot_record.h"

namespace hvguard::publish {

// kInvalid: says what is wrong. Whether its times can be true is for the detector to judge.
[[nodiscard]] Result<SpoolReport> spool_report_from_proto(const v1::AttachSpool& from);

[[nodiscard]] v1::BootRecord to_proto(const BootRecord& record);
[[nodiscard]] v1::BootRecord::State to_proto(BootState state);

}  // namespace hvguard::publish
