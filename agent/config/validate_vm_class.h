// One [[vm_class]] of the configuration: ranges, and rules between its keys and those of [safety].
// Pure; for validate_policy.cpp.
#pragma once

#include <vector>

#include "config/checker.h"
#include "model/config.h"

namespace hvguard::config {

[[nodiscard]] VmClass validate_vm_class(Checker& check,
                                        const v1::VmClassConfig& from,
                                        const SafetyConfig& safety);

// A class that fits all VMs must be the last one.
void reject_unreachable_classes(Checker& check, const std::vector<VmClass>& classes);

}  // namespace hvguard::config
