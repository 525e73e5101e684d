// CoreConnection: one connection to hvguardd's core.sock (AF_UNIX, SOCK_SEQPACKET).
// Used by the gateway's link thread, by hvguard-spool and by hvguardctl --direct. Every wait has a
// deadline on the boot clock. Errors say what to do: kUnavailable (not running, went away), kDenied
// (who may read).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "base/time.h"
#include "hvguard/v1/core_link.pb.h"
#include "link/frame_assembler.h"

namespace hvguard::link {

enum class Want { kOneFrame, kEveryFrame };

// Asks hvguardd to change something, on a connection of its own. An AdminReply that is an error
// becomes that error; kInvalid if the call is too large; kTimeout if there is none by the deadline:
// it may be done all the same.
Result<v1::AdminReply> call_admin(const std::string& path,
                                  const v1::AdminCall& call,
                                  BootTime deadline,
                                  int wake_fd = -1);

class CoreConnection {
 public:
  // kTimeout at the deadline, or as soon as wake_fd (-1: none) is readable.
  static Result<CoreConnection> open(const std::string& path,
                                     Want want,
                                     BootTime deadline,
                                     int wake_fd = -1);
  // As hvguard-spool: says what it found, then every frame, status and incidents only.
  static Result<CoreConnection> attach(const std::string& path,
                                       v1::AttachSpool report,
                                       BootTime deadline,
                                       int wake_fd = -1);

  // The next whole frame; none when the deadline passed or wake_fd (-1: none) became readable: the
  // connection is then still good.
  Result<std::optional<Frame>> next(BootTime deadline, int wake_fd = -1);

  // Frames that did not arrive whole.
  [[nodiscard]] std::uint64_t discarded_count() const { return assembler_.discarded_count(); }

 private:
  CoreConnection(UniqueFd fd, Contents contents)
      : fd_(std::move(fd)), buffer_(kMaxPacketBytes + 1), assembler_(contents) {}
  static Result<CoreConnection> ask(const std::string& path,
                                    const v1::CoreRequest& request,
                                    Contents contents,
                                    BootTime deadline,
                                    int wake_fd);

  UniqueFd fd_;
  std::vector<char> buffer_;  // one byte more than a packet may have, to notice larger ones
  FrameAssembler assembler_;
};

}  // namespace hvguard::link
