// Command lines of VM managers are chosen by strangers. The first byte picks the manager.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/text.h"
#include "observe/command_line.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hvguard::observe;
  static constexpr std::array<std::string_view, 6> kExecutables = {
      "qemu-system-x86_64", "qemu-kvm", "firecracker", "cloud-hypervisor", "crosvm", "other"};
  if (size == 0) {
    return 0;
  }
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto facts = parse_command_line(kExecutables.at(data[0] % kExecutables.size()), text);
  const bool name_is_safe = facts.name.size() <= kMaxNameBytes &&
                            facts.name.find('\n') == std::string::npos &&
                            facts.name.find('\x1b') == std::string::npos;
  const bool numbers_make_sense =
      facts.guest_memory_bytes != std::uint64_t{0} && facts.vcpu_count != std::uint32_t{0};
  const bool uuid_is_one = facts.uuid.empty() || facts.uuid.size() == 36;
  if (!name_is_safe || !numbers_make_sense || !uuid_is_one) {
    std::abort();
  }
  static_cast<void>(parse_size(text, 1));
  return 0;
}
