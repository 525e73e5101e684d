// ProbeClient: the sampler's side of one hvguard-probe process. Sampler thread only; no function
// waits. One request is under way at a time, the others queue; whoever is stuck at its deadline is
// killed with SIGKILL, and the next request gets a new process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/helper_process.h"
#include "base/ids.h"
#include "base/time.h"
#include "observe/probe_protocol.h"

namespace hvguard::observe {

inline constexpr std::size_t kMaxProbeQueue = 4096;

// What became of one request. Fields stay absent for stages that were not reached.
struct ProbeResult {
  Pid tgid = 0;
  std::optional<std::string> cgroup_path;
  std::optional<BootTime> start;
  std::optional<std::string> executable;
  std::optional<bool> holds_kvm_vm;
  std::optional<std::string> command_line;
  std::string kill_mode;     // kBus
  std::string machine_name;  // kBus
  bool timed_out = false;
  bool gone = false;  // the process does not exist any more
  std::string error;  // first failure; empty if all is known
};

// The request that a probe works on.
struct ActiveProbe {
  std::uint64_t id = 0;
  ProbeResult result;
  BootTime deadline;
  bool final_stage_seen = false;
};

class ProbeClient {
 public:
  // Starts nothing yet. An empty path makes every request fail.
  ProbeClient(ProbeKind kind, std::string probe_path, const std::string& root);

  // False if the queue is full.
  bool request(Pid tgid, std::string unit);
  // Forgets what is queued for a process that is gone; an answer under way is dropped later.
  void cancel(Pid tgid);
  // Reads answers, ends what is past its deadline, sends the next request. Call whenever fd() is
  // readable, at next_deadline(), and after request().
  [[nodiscard]] std::vector<ProbeResult> run(BootTime now, Nanoseconds timeout);

  // Socket to poll for reading; -1 if no probe runs. May change with each run().
  [[nodiscard]] int fd() const { return process_.fd(); }
  [[nodiscard]] std::optional<BootTime> next_deadline() const;
  [[nodiscard]] std::size_t queue_size() const { return queue_.size(); }
  [[nodiscard]] std::uint64_t killed_count() const { return killed_count_; }
  // Why no probe can be started; empty if one can.
  [[nodiscard]] const std::string& start_error() const { return process_.error(); }

 private:
  void send_next(BootTime now, Nanoseconds timeout, std::vector<ProbeResult>& results);
  void read_answers(std::vector<ProbeResult>& results);
  void take(const ProbeAnswer& answer);
  void finish_active(std::string error, bool timed_out, std::vector<ProbeResult>& results);

  ProbeKind kind_;
  HelperProcess process_;
  std::deque<ProbeRequest> queue_;
  std::optional<ActiveProbe> active_;
  std::vector<char> buffer_;
  std::uint64_t next_id_ = 1;
  std::uint64_t killed_count_ = 0;
};

}  // namespace hvguard::observe
