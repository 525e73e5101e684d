// The part of validate() that is about limits: [policy], [safety] and [[vm_class]]. Pure.
#pragma once

#include "config/checker.h"
#include "model/config.h"

namespace hvguard::config {

[[nodiscard]] PolicyConfig validate_policy(Checker& check, const v1::Config& from);

}  // namespace hvguard::config
