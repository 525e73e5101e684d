// Which exit code an error becomes. Pure.
#pragma once

#include "base/result.h"
#include "ctl/options.h"

namespace hvguard::ctl {

[[nodiscard]] constexpr int exit_code_of(Errc code) {
  switch (code) {
    case Errc::kNotFound:
    case Errc::kGone:
      return kExitNotFound;
    case Errc::kDenied:
      return kExitDenied;
    case Errc::kUnavailable:
    case Errc::kTimeout:
      return kExitUnreachable;
    case Errc::kInvalid:
      return kExitUsage;
    default:
      return kExitFailed;
  }
}

}  // namespace hvguard::ctl
