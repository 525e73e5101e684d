// The guard's side of `hvguard-limits serve`: one request under way, the others wait in a bounded
// queue. Whoever is stuck at its deadline is killed, and the next one is started with back-off,
// never more than kMaxUndeadHelpers that the kernel does not let go of. Loop thread only; no
// function waits.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/helper_process.h"
#include "base/time.h"
#include "enforce/lever.h"
#include "enforce/limits_protocol.h"

namespace hvguard::enforce {

inline constexpr std::size_t kMaxLimitsQueue = 4096;

class LimitsClient {
 public:
  // `arguments`: --runtime-dir, --cgroup-root. Starts nothing yet.
  LimitsClient(std::string program, std::vector<std::string> arguments);

  // The answer comes from run(), or at once if the queue is full or no helper can be started.
  void request(LimitsRequest request, BootTime now, OnRead done);
  // Reads answers, ends what is past its deadline, sends the next. To be called when fd() is
  // readable and with each tick.
  void run(BootTime now);

  // Socket to poll for reading; -1 if no helper runs. May change with each call.
  [[nodiscard]] int fd() const { return process_.fd(); }
  // Grows with each helper: the next one's socket may have the number of the last.
  [[nodiscard]] std::uint64_t start_count() const { return start_count_; }
  [[nodiscard]] bool idle() const { return !active_ && queue_.empty(); }
  [[nodiscard]] std::uint64_t killed_count() const { return killed_count_; }

 private:
  struct Waiting {
    LimitsRequest request;
    OnRead done;
  };
  struct Active {
    Waiting waiting;
    BootTime deadline;
  };

  void send_next(BootTime now);
  void read_answers(BootTime now);
  void take(std::string_view message, BootTime now);
  void lost(Error why, BootTime now);

  HelperProcess process_;
  std::deque<Waiting> queue_;
  std::optional<Active> active_;
  std::vector<char> buffer_;
  std::uint64_t next_id_ = 1;
  std::uint64_t killed_count_ = 0;
  std::uint64_t start_count_ = 0;
  std::uint32_t failures_ = 0;  // starts in a row that came to nothing
  BootTime next_start_;
};

// Straight to the files: for cgroups that are no unit's, and for giving back while systemd is slow.
class CgroupLever final : public Lever, public SettingReader {
 public:
  // The client outlives it.
  explicit CgroupLever(LimitsClient& client) : client_(client) {}
  [[nodiscard]] LeverKind kind() const override { return LeverKind::kCgroupfs; }
  void apply(LeverTask task, BootTime now, OnDone done) override;
  void arm_io(const LimitTarget& target, BootTime now, OnDone done) override;
  void read(const LimitTarget& target,
            const std::vector<SettingKey>& keys,
            BootTime now,
            OnRead done) override;

 private:
  LimitsClient& client_;
};

}  // namespace hvguard::enforce
