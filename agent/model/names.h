// The stable words for our enumerations: what audit records, tables and subject keys say.
#pragma once

#include <string_view>

#include "model/condition.h"
#include "model/incident.h"
#include "model/snapshot.h"
#include "model/vm.h"

namespace hvguard {

[[nodiscard]] std::string_view to_string(Source source);               // "tasks"
[[nodiscard]] std::string_view to_string(SourceState state);           // "ok"
[[nodiscard]] std::string_view to_string(BlockedClass blocked_class);  // "hard"
[[nodiscard]] std::string_view to_string(LockType type);               // "mutex"
[[nodiscard]] std::string_view to_string(IncidentKind kind);           // "hung_task"
[[nodiscard]] std::string_view to_string(Severity severity);           // "critical"
[[nodiscard]] std::string_view to_string(HungTaskCause cause);         // "block_io"
[[nodiscard]] std::string_view to_string(ConditionKind kind);          // "HungTasks"
[[nodiscard]] std::string_view to_string(VmManager manager);           // "qemu"

}  // namespace hvguard
