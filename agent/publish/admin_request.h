// AdminCall of core.sock → AdminRequest. Hostile input: all that comes out is bounded, safe text,
// and of a kind that exists; whether this host allows it is for decide/ to judge. Pure; fuzzed by
// tests/fuzz/fuzz_core_request.cpp.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/result.h"
#include "hvguard/v1/core_link.pb.h"
#include "model/admin_request.h"

namespace hvguard::publish {

inline constexpr std::size_t kMaxRequestIdBytes = 64;
inline constexpr std::size_t kMaxAdminReasonBytes = 256;
inline constexpr int kMaxCallerPids = 16;

// `client` is who sent it to core.sock, as SO_PEERCRED has it: "uid 0, pid 4711". kInvalid if a
// field is missing or says nothing that makes sense; the message names it and the remedy.
Result<AdminRequest> admin_request_from_proto(const v1::AdminCall& call, std::string_view client);

}  // namespace hvguard::publish
