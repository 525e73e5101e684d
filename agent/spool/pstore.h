// What the kernel kept over the reboot: /sys/fs/pstore, and /var/lib/systemd/pstore, where
// systemd-pstore has moved most of it before we start (ID/dmesg.txt for EFI variables, the bare
// files for the others). Main thread, once, at the start. Bounded: what is beyond is counted.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "hvguard/v1/boot_record.pb.h"

namespace hvguard::spool {

// Files older than `not_before` are of an earlier boot and left out; none: all count. So are those
// that were `told` of the boot before: systemd-pstore gives what it moves the time of the move.
[[nodiscard]] v1::Pstore read_pstore(const std::string& root,
                                     std::optional<WallTime> not_before,
                                     const v1::Pstore& told = v1::Pstore::default_instance());

// How much the line says, and the part of it that says so, without the time stamp before it.
struct TellingLine {
  int weight = 0;  // 0: nothing; 3: the panic itself
  std::string_view text;
};

// The first of the heaviest lines of a kernel log.
[[nodiscard]] TellingLine telling_line(std::string_view log);

}  // namespace hvguard::spool
