// Any packet as a request on core.sock: what the gateway, or whoever has taken its place, may send.
// Beyond not crashing: a refusal always says why, in one safe line, and its packet is bounded.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "hvguard/v1/core_link.pb.h"
#include "publish/core_request.h"
#include "publish/frame.h"
#include "publish/saved_state.h"

namespace {

void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hvguard::publish;
  const std::string_view packet(reinterpret_cast<const char*>(data), size);
  const auto request = parse_core_request(packet);
  require(!request || size <= kMaxRequestBytes);
  if (!request) {
    require(!request.error().message.empty());
    require(encode_error(request.error().message).size() <= 1100);
  }
  // The other thing that is read back from protobuf bytes which may be damaged.
  static_cast<void>(restore_state(packet, "boot"));
  return 0;
}
