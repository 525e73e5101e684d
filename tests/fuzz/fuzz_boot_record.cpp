// Any bytes as a boot record, and as what pstore holds: a disk may return both after a crash.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/crc32c.h"
#include "spool/pstore.h"
#include "spool/record_file.h"
#include "spool/recorder.h"

namespace {

void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

std::string number(std::uint32_t value) {
  std::string out;
  for (unsigned shift = 0; shift < 32; shift += 8) {
    out += static_cast<char>((value >> shift) & 0xFFU);
  }
  return out;
}

void check(std::string_view bytes) {
  using namespace hvguard::spool;
  const auto record = decode_record(bytes);
  if (!record) {
    require(!record.error().message.empty());
    return;
  }
  require(!record->this_boot().boot_id().empty());
  require(decode_record(encode_record(*record)).has_value());
  const auto previous = previous_boot({*record, ""}, "11111111-0000-4000-8000-000000000001");
  require(previous.state() != hvguard::v1::BootRecord::STATE_UNSPECIFIED);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check(bytes);
  // With a header that fits, so that the checksum does not keep the fuzzer out of the rest.
  std::string fitting = "HVGBOOT1";
  fitting += number(static_cast<std::uint32_t>(size)) + number(hvguard::crc32c(bytes));
  check(fitting.append(bytes));

  const auto line = hvguard::spool::telling_line(bytes);
  require((line.weight == 0) == line.text.empty());
  require(line.text.find('\n') == std::string_view::npos);
  return 0;
}
